"""What a report says, as texts for its page and its Markdown alike.

Tables are lists of rows of texts, the head first; facts are pairs of texts.
"""

from tfrobust.evaluation import summary
from tfrobust.evaluation.row import wilson

COMPONENTS = (
    "Indented rows are the components of the ensemble below them. Each ran on "
    "what those before it left standing, so the accuracies are cumulative."
)
INTERVALS = (
    "An example is right in a row if it is right clean and at the adversary's "
    "answer. Intervals are 95 % Wilson score intervals. Accuracy under attack "
    "is an upper bound of what the model withstands; certified accuracy is a "
    "lower bound."
)
MARGINS = (
    "A margin is a lower bound, over the whole threat, of the true logit minus "
    "the largest other one; what rounding may have added is taken off already. "
    "Above 0 it proves, and is the slack of the proof."
)
STEPS = (
    "Certified accuracy holds at the radii at which it is known; below each it "
    "is at least as high, which is what the steps show."
)
UNKNOWN = "not recorded"
_FACTS = {
    "model": "name",
    "architecture": "architecture",
    "weights (SHA-256)": "weights_sha256",
    "date": "started",
    "data": "dataset",
    "examples": "examples",
    "data (SHA-256)": "data_sha256",
    "input shape": "input_shape",
    "threat": "threat",
    "seeds": "seeds",
    **{k: k for k in ("versions", "machine", "hardware", "devices", "command")},
}
SHOWN = 10


def title(report):
    """What the report is called."""
    if report.certificates:
        return f"{report.info['name']}: certified robustness"
    return f"{report.info['name']} under attack"


def in_short(report):
    """The report in a line."""
    rows = [f"clean {report.rows[0].accuracy:.2%}"]
    for name in ("robust", "certified"):
        accuracy = getattr(summary, name)(report)
        rows += [] if accuracy is None else [f"{name} {accuracy:.2%}"]
    state = "reliable" if report.reliable else "UNRELIABLE"
    return (
        f"<Report on {report.info.get('name')!r}: "
        f"{len(report.rows[0].correct)} examples, {', '.join(rows)}, {state}>"
    )


def facts(report):
    """What was evaluated, on what, against what, where."""
    told = {"threat": _threats(report), "seeds": _seeds(report)}
    return provenance({**report.info, **told})


def provenance(info):
    """What was looked at, on what, where: facts of what runs record."""
    found = {name: info.get(key) for name, key in _FACTS.items()}
    versions = found["versions"]
    if isinstance(versions, dict):
        found["versions"] = [f"{k} {v}" for k, v in versions.items()]
    known = {*_FACTS, *_FACTS.values(), "adversaries"}
    found |= {k: v for k, v in info.items() if k not in known}
    return [
        (name, UNKNOWN if value in (None, "", []) else _text(value))
        for name, value in found.items()
    ]


def _text(value):
    named = isinstance(value, list) and all(isinstance(v, str) for v in value)
    return "; ".join(value) if named else str(value)


def _threats(report):
    """The threat of all adversaries, or of each if they differ."""
    found: dict[str, list[str]] = {}
    for row in report.rows:
        if row.adversary:
            found.setdefault(_asked(report, row)["threat"], []).append(row.name)
    if len(found) == 1:
        return next(iter(found))
    return " ".join(f"Of {', '.join(n)}: {t}" for t, n in found.items())


def _seeds(report):
    parts = []
    for row in report.rows:
        for path, seed in _asked(report, row)["seeds"].items():
            parts.append(f"{row.name} {path} {seed}")
    return ", ".join(parts)


def _asked(report, row):
    """What an adversary was asked to do; older reports hold but its `repr`."""
    known = report.info.get("adversaries", {})
    if row.name in known:
        return known[row.name]
    return {
        "kind": row.adversary.split("(")[0],
        "role": "verifier" if row.proven else "attack",
        "threat": f"{row.norm}, epsilon {row.epsilon}",
        "settings": {"configuration": row.adversary},
        "seeds": {},
    }


def settings(report):
    """The table of what each adversary was asked to do."""
    table = [["adversary", "kind", "role", "threat", "settings"]]
    for row in report.rows:
        if row.adversary:
            asked = _asked(report, row)
            chosen = (f"{k}={v}" for k, v in asked["settings"].items())
            head = [row.name, asked["kind"], asked["role"], asked["threat"]]
            table.append([*head, ", ".join(chosen) or "none"])
    return table


def label(report, row):
    """What a row is called: what a verifier proved is named so."""
    total = row is report.rows[-1]
    if row.proven or (total and summary.certified(report) is not None):
        return f"{row.name} (certified accuracy)"
    return row.name


def certified(report):
    """The tables of verdicts and of stages; empty without certificates."""
    known = summary.certification(report)
    if known is None:
        return [], []
    count = known["examples"]
    verdicts = [["verdict", "examples", "share", "95 % interval"]]
    verdicts[0] += ["least margin", "median margin", "largest margin"]
    for name, number in known["counts"].items():
        low, high = wilson(number, count)
        margins = known["margins"][name]
        cells = [name, str(number), f"{number / count:.2%}"]
        cells.append(f"{low:.2%} to {high:.2%}")
        for which in ("least", "median", "largest"):
            value = margins[which]
            cells.append("none" if value is None else f"{value:.4g}")
        verdicts.append(cells)
    stages = [["stage", "certified", "falsified", "left open", "seconds"]]
    for stage in known["stages"] or []:
        seconds = f"{report[stage['stage']].seconds:.1f}"
        stages.append([*map(str, stage.values()), seconds])
    return verdicts, stages if len(stages) > 1 else []


def per_class(report):
    """The table of the accuracy of each class; empty if not known."""
    found = summary.per_class(report)
    if found is None:
        return []
    rows = [row for row in report.rows if not row.ensemble]
    if report.certificates:
        # Verifiers add to each other: the worst case is what all proved.
        rows = [row for row in rows if not row.proven]
    table = [["class", "examples", *(label(report, row) for row in rows)]]
    for one in found:
        cells = [str(one["class"]), str(one["examples"])]
        for row in rows:
            right = one["correct"][row.name]
            low, high = wilson(right, one["examples"])
            share = right / one["examples"]
            cells.append(f"{share:.1%} ({low:.0%} to {high:.0%})")
        table.append(cells)
    return table


def curves(report):
    """The table of all points of all curves, with their intervals."""
    drawn = drawn_curves(report)
    table = [["curve", "epsilon", "accuracy", "95 % interval", "examples"]]
    for name, bands in summary.bands(drawn).items():
        curve = drawn[name]
        points = zip(curve["epsilon"], curve["accuracy"], bands, strict=True)
        for epsilon, accuracy, (low, high) in points:
            cells = [name, f"{epsilon:.4g}", f"{accuracy:.2%}"]
            cells += [f"{low:.2%} to {high:.2%}", str(curve["examples"])]
            table.append(cells)
    return table if len(table) > 1 else []


def drawn_curves(report):
    """The curves of attacks, and that of certified accuracy if it is known."""
    curve = summary.certified_curve(report)
    return {**report.curves, **({"certified accuracy": curve} if curve else {})}


def note_of_curves(report):
    """How to read the curve of certified accuracy, or nothing."""
    return STEPS if summary.certified_curve(report) else ""


def shown(report):
    """The table of labels and answers of the first examples, if known."""
    if not report.answers:
        return []
    predicted = report.answers["predicted"]
    labels = report.answers["label"][:SHOWN]
    table = [["example", "true", *(f"predicted: {name}" for name in predicted)]]
    for number, true in enumerate(labels):
        answers = (str(p[number]) for p in predicted.values())
        table.append([str(number), str(true), *answers])
    return table


def diagnostics(report):
    """The table of the diagnostics, and of what examples they looked at."""
    count = len(report.rows[0].correct)
    table = [["state", "name", "examples", "detail"]]
    for check in report.checks:
        used = "" if check.examples is None else f"the first {check.examples}"
        if check.examples == count:
            used = f"all {count}"
        table.append([check.state, check.name, used, check.detail])
    return table


# What facts call otherwise, or don't repeat.
