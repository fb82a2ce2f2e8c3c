"""The report as one HTML page that needs nothing but itself."""

import html
import string

from tfrobust.evaluation import contents, plot, strip

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { margin-bottom: 0; } h2 { margin: 2rem 0 .5rem; font-size: 1.2rem; }
.note { color: #666; margin: .2rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: .25rem .7rem; text-align: right;
  border-bottom: 1px solid #ddd; }
td:first-child, th:first-child { text-align: left; }
tr.total td { font-weight: 600; }
.verdict { padding: .6rem 1rem; border-left: 5px solid; }
.verdict ul { margin: .3rem 0 0; padding-left: 1.2rem; }
.good { border-color: #4c8c4a; background: #eef6ee; }
.verdict.weak { border-color: #b8860b; background: #fdf7e8; }
.bad { border-color: #c1443c; background: #fbeeed; }
.wide { overflow-x: auto; } .strip td { border: 0; padding: .15rem .3rem;
  text-align: center; } .strip td:first-child { max-width: 9rem; }
.strip img { width: 72px; image-rendering: pixelated; display: block; }
.right, .ok { color: #3b7a39; } .wrong, .FAILED { color: #c1443c; }
.state { font-weight: 600; } .texts td, .texts th {
  text-align: left; vertical-align: top; }
.texts td:last-child { overflow-wrap: anywhere; }
h3 { font-size: 1rem; } .scale { display: block; margin: .3rem 0; }
svg { max-width: 100%; } svg text { font-size: 12px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
td.part { padding-left: 2rem; color: #666; }
@media (max-width: 40rem) {
  body { margin: 1rem auto; padding: 0 .6rem; font-size: 14px; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin: 0 0 .5rem; }
  td, th { padding: .25rem .4rem; } .wide { max-width: 100%; }
  td + td, th + th { white-space: nowrap; }
  .texts th { display: none; }
  .texts td { display: inline-block; white-space: normal; border: 0; }
  .texts td:last-child { display: block; }
  .texts tr { display: block; border-bottom: 1px solid #ddd; }
  svg { height: auto; }
}
@media print {
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { max-width: none; margin: 0; font-size: 9pt; color: #000; }
  .wide { overflow: visible; } td, th { padding: .1rem .3rem; }
  h2, h3 { break-after: avoid; } tr, svg, .verdict { break-inside: avoid; }
  .strip img { width: 48px; }
}
"""

PAGE = string.Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title><style>$style</style></head><body>
<h1>$title</h1><p class="note">$subtitle</p>
<div class="verdict $mood">$verdict</div>
<h2>About</h2><dl>$facts</dl>
<h2>Accuracy</h2><div class="wide">$table</div>
<p class="note">$intervals</p>
$certificates
<h2>Accuracy of each class</h2>$classes
<h2>Accuracy against epsilon</h2>$curve
<h2>Examples</h2>$strip
<h2>Diagnostics</h2>$checks
<h2>Settings</h2>$settings
</body></html>
""")


def render(report):
    """Returns the page of a `Report` as text."""
    info, curves = report.info, contents.drawn_curves(report)
    return PAGE.substitute(
        style=STYLE,
        title=html.escape(contents.title(report)),
        subtitle=html.escape(
            f"{info['examples']} examples of {info['dataset'] or 'the data'}, "
            f"{info['started']}"
        ),
        **_verdict(report),
        facts=definitions(contents.facts(report)),
        table=_accuracies(report),
        intervals=contents.INTERVALS,
        certificates=_certificates(report),
        classes=table(contents.per_class(report)),
        curve=plot.draw(curves) + _points(report),
        strip=strip.draw(report.images) + table(contents.shown(report), ""),
        checks=_checks(report),
        settings=table(contents.settings(report), kind="texts"),
    )


def fragment(report):
    """Returns a part of a page that a notebook shows, as text."""
    known = _verdict(report)
    return (
        f"<div><b>{html.escape(contents.title(report))}</b>"
        f"{_accuracies(report)}"
        f'<div class="verdict {known["mood"]}">{known["verdict"]}</div></div>'
    )


def _verdict(report):
    """What to think of the report, and the mood of it."""
    if report.reliable and not report.recommendations:
        text = "No diagnostic found a reason to distrust these numbers."
        return {"mood": "good", "verdict": text}
    mood, reasons = "bad", report.reasons
    text = "<b>UNRELIABLE.</b> The true accuracy under attack may be lower."
    if report.reliable:
        mood, reasons = "weak", report.recommendations
        text = "<b>TOO WEAK AN ATTACK.</b> Accuracies are too high."
    items = "".join(f"<li>{html.escape(reason)}</li>" for reason in reasons)
    return {"mood": mood, "verdict": f"{text}<ul>{items}</ul>"}


def _accuracies(report):
    body = "".join(f"<th>{column}</th>" for column in report.rows[0].cells())
    body = f"<tr>{body}</tr>"
    for row in report.rows:
        total = ' class="total"' if row is report.rows[-1] else ""
        part = ' class="part"' if row.ensemble else ""
        _, *others = (html.escape(cell) for cell in row.cells().values())
        cells = "".join(f"<td>{cell}</td>" for cell in others)
        name = html.escape(contents.label(report, row))
        body += f"<tr{total}><td{part}>{name}</td>{cells}</tr>"
    ensembles = any(row.ensemble for row in report.rows)
    note = f'<p class="note">{contents.COMPONENTS}</p>' if ensembles else ""
    return f"<table>{body}</table>{note}"


def _certificates(report):
    verdicts, stages = contents.certified(report)
    if not verdicts:
        return ""
    return (
        f"<h2>Certificates</h2>{table(verdicts)}"
        f'<p class="note">{contents.MARGINS}</p>'
        f"<h2>What each stage decided</h2>{table(stages)}"
    )


def _points(report):
    """The points of curves as a table, and how to read them."""
    points, note = contents.curves(report), contents.note_of_curves(report)
    if not points:
        return ""
    note = f'<p class="note">{note}</p>' if note else ""
    return f"{note}<h3>Points of the curves</h3>{table(points)}"


def table(rows, otherwise="<p>Not recorded.</p>", kind=""):
    """A table of texts, the head first; a sentence where there is none."""
    if not rows:
        return otherwise
    head, *body = ([html.escape(cell) for cell in row] for row in rows)
    lines = ["".join(f"<th>{cell}</th>" for cell in head)]
    lines += ["".join(f"<td>{cell}</td>" for cell in row) for row in body]
    text = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table class="{kind}">{text}</table></div>'


def _checks(report):
    head, *body = contents.diagnostics(report)
    lines = "".join(f"<th>{cell}</th>" for cell in head)
    for row in body:
        state, *cells = map(html.escape, row)
        others = "".join(f"<td>{cell}</td>" for cell in cells)
        lines += f'<tr><td class="state {state}">{state}</td>{others}</tr>'
    return f'<div class="wide"><table class="texts">{lines}</table></div>'


def definitions(facts):
    """Pairs of texts as the entries of a list of definitions."""
    return "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
        for name, value in facts
    )
