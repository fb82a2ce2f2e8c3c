"""The report as one HTML page that needs nothing but itself."""

import base64
import html
import string

import numpy as np
import tensorflow as tf

from tfrobust.evaluation import plot

COMPONENTS = (
    "Indented rows are the components of the ensemble below them. Each ran on "
    "what those before it left standing, so the accuracies are cumulative."
)

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
.state { font-weight: 600; } .checks td { text-align: left;
  vertical-align: top; } svg { max-width: 100%; } svg text { font-size: 12px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
td.part { padding-left: 2rem; color: #666; }
"""

PAGE = string.Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title><style>$style</style></head><body>
<h1>$title</h1><p class="note">$subtitle</p>
<div class="verdict $mood">$verdict</div>
<h2>Accuracy</h2><div class="wide">$table</div>
<h2>Accuracy against epsilon</h2>$curve
<h2>Examples</h2>$strip
<h2>Diagnostics</h2><table class="checks">$checks</table>
<h2>Provenance</h2><dl>$info</dl>
</body></html>
""")


def render(report):
    """Returns the page of a `Report` as text."""
    info = report.info
    return PAGE.substitute(
        style=STYLE,
        title=html.escape(f"{info['name']} under attack"),
        subtitle=html.escape(
            f"{info['examples']} examples of {info['dataset'] or 'the data'}, "
            f"{info['started']}"
        ),
        **_verdict(report),
        table=_table(report.rows),
        curve=plot.draw(report.curves),
        strip=_strip(report.images),
        checks="".join(_check(check) for check in report.checks),
        info="".join(_entry(key, value) for key, value in info.items()),
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


def _table(rows):
    body = "".join(f"<th>{column}</th>" for column in rows[0].cells())
    body = f"<tr>{body}</tr>"
    for row in rows:
        total = ' class="total"' if row is rows[-1] else ""
        part = ' class="part"' if row.ensemble else ""
        name, *others = (html.escape(cell) for cell in row.cells().values())
        cells = "".join(f"<td>{cell}</td>" for cell in others)
        body += (
            f'<tr{total} title="{html.escape(row.adversary)}">'
            f"<td{part}>{name}</td>{cells}</tr>"
        )
    ensembles = any(row.ensemble for row in rows)
    note = f'<p class="note">{COMPONENTS}</p>' if ensembles else ""
    return f"<table>{body}</table>{note}"


def _strip(images):
    """Rows of clean images, perturbations and perturbed images."""
    if not images:
        return "<p>No pictures were kept.</p>"
    clean, *attacked = images.values()
    pictures = clean["point"]
    if pictures.ndim == 3:
        pictures = pictures[..., np.newaxis]
    if pictures.ndim != 4 or pictures.shape[-1] not in (1, 3):
        return "<p>The inputs are not images.</p>"
    if not attacked:
        return "<p>No attack was run.</p>"
    moved = attacked[0]["point"].reshape(pictures.shape)
    shift = np.nan_to_num(moved - pictures)
    reach = max(np.abs(shift).max(), 1e-12)
    low, width = pictures.min(), max(np.ptp(pictures), 1e-12)
    rows = [
        ("clean", (pictures - low) / width, clean),
        (f"perturbation, up to {reach:.3g}", 0.5 + shift / (2 * reach), None),
        (list(images)[1], (moved - low) / width, attacked[0]),
    ]
    cells = "".join(_strip_row(*row) for row in rows)
    return f'<div class="wide"><table class="strip">{cells}</table></div>'


def _strip_row(title, pictures, answer):
    cells = f"<td>{html.escape(title)}</td>"
    for number, picture in enumerate(pictures):
        caption = ""
        if answer:
            predicted = answer["predicted"][number]
            right = predicted == answer["label"][number]
            mood = "right" if right else "wrong"
            caption = f'<span class="{mood}">{predicted}</span>'
        cells += f'<td><img alt="" src="{_png(picture)}">{caption}</td>'
    return f"<tr>{cells}</tr>"


def _png(picture):
    pixels = np.clip(np.nan_to_num(picture), 0, 1)
    pixels = np.round(255 * pixels).astype(np.uint8)
    data = base64.b64encode(tf.io.encode_png(pixels).numpy()).decode()
    return f"data:image/png;base64,{data}"


def _check(check):
    return (
        f'<tr><td class="state {check.state}">{check.state}</td>'
        f"<td>{html.escape(check.name)}</td>"
        f"<td>{html.escape(check.detail)}</td></tr>"
    )


def _entry(key, value):
    return f"<dt>{html.escape(key)}</dt><dd>{html.escape(str(value))}</dd>"
