"""The report as Markdown that stands alone."""

from tfrobust.evaluation import contents, markdown


def accuracies(report):
    """Lines of the table of accuracies, and of the verdict."""
    table = [list(report.rows[0].cells())]
    for row in report.rows:
        _, *cells = row.cells().values()
        inner = row.ensemble is not None
        # No-break spaces: Markdown drops others.
        name = "\u00a0\u00a0" * inner + contents.label(report, row)
        table.append([name, *cells])
    lines = markdown.table(table)
    if any(row.ensemble for row in report.rows):
        lines += ["", contents.COMPONENTS]
    return [*lines, "", markdown.plain(report.verdict)]


def brief(report):
    """The table, the verdict and the diagnostics, to be printed."""
    lines = [*accuracies(report), ""]
    lines += markdown.bullets(
        f"{c.state}: {c.name}. {c.detail}" for c in report.checks
    )
    return "\n".join(lines) + "\n"


def render(report):
    """Returns the Markdown of a `Report` as text."""
    parts = [f"# {markdown.plain(contents.title(report))}", ""]
    facts = contents.facts(report)
    parts += markdown.bullets(f"{name}: {value}" for name, value in facts)
    parts += ["", "## Accuracy", "", *accuracies(report), ""]
    parts += [contents.INTERVALS, ""]
    verdicts, stages = contents.certified(report)
    for head, note, table in (
        ("Certificates", contents.MARGINS, verdicts),
        ("What each stage decided", None, stages),
        ("Accuracy of each class", None, contents.per_class(report)),
        (
            "Accuracy against epsilon",
            contents.note_of_curves(report),
            contents.curves(report),
        ),
        ("First examples", None, contents.shown(report)),
        ("Diagnostics", None, contents.diagnostics(report)),
        ("Settings", None, contents.settings(report)),
    ):
        if table:
            parts += [f"## {head}", "", *markdown.table(table), ""]
            parts += [note, ""] if note else []
    return "\n".join(parts)
