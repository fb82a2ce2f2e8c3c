"""The report as one HTML page that needs nothing but itself."""

import base64
import html
import string

import numpy as np
import tensorflow as tf

COLOURS = ("#0b6e99", "#c1443c", "#4c8c4a", "#8a5fb0", "#b8860b")
WIDTH, HEIGHT, LEFT, BOTTOM = 560, 260, 50, 40

PAGE = string.Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title><style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; } td, th { padding: .25rem .7rem;
  text-align: right; border-bottom: 1px solid #ddd; }
td:first-child, th:first-child { text-align: left; }
.verdict { padding: .6rem 1rem; border-left: 5px solid; }
.good { border-color: #4c8c4a; background: #eef6ee; }
.bad { border-color: #c1443c; background: #fbeeed; }
.strip { overflow-x: auto; } .strip img { width: 72px;
  image-rendering: pixelated; display: block; margin: auto; }
.strip td { border: 0; padding: .15rem; text-align: center; }
.wrong { color: #c1443c; } dt { font-weight: 600; } svg text { font-size: 12px; }
</style></head><body>
<h1>$title</h1><p>$subtitle</p>
<p class="verdict $mood">$verdict</p>
<h2>Accuracy</h2>$table
<h2>Accuracy against epsilon</h2>$curve
<h2>Examples</h2>$strip
<h2>Diagnostics</h2><dl>$checks</dl>
<h2>Provenance</h2><dl>$info</dl>
</body></html>
""")


def render(report):
    """Returns the page of a `Report` as text."""
    info = report.info
    mood, verdict = "good", "No diagnostic found a reason to distrust this."
    if not report.reliable:
        mood, verdict = "bad", "Unreliable. " + " ".join(report.reasons)
    return PAGE.substitute(
        title=html.escape(f"{info['name']} under attack"),
        subtitle=html.escape(
            f"{info['examples']} examples of {info['dataset'] or 'the data'}, "
            f"{info['started']}"
        ),
        mood=mood,
        verdict=html.escape(verdict),
        table=_table(report.rows),
        curve=_curve(report.curves),
        strip=_strip(report.images),
        checks="".join(_check(check) for check in report.checks),
        info="".join(_entry(key, value) for key, value in info.items()),
    )


def _table(rows):
    head = (
        "<tr><th>adversary</th><th>epsilon</th><th>accuracy</th>"
        "<th>95 % interval</th><th>largest norm</th><th>forward</th>"
        "<th>backward</th><th>seconds</th></tr>"
    )
    body = ""
    for row in rows:
        epsilon = "" if row.epsilon is None else f"{row.epsilon:.4g}"
        low, high = row.interval
        body += (
            f'<tr><td title="{html.escape(row.adversary)}">'
            f"{html.escape(row.name)}</td><td>{epsilon}</td>"
            f"<td>{row.accuracy:.2%}</td><td>{low:.2%} to {high:.2%}</td>"
            f"<td>{row.largest_norm:.6g}</td><td>{row.forwards}</td>"
            f"<td>{row.backwards}</td><td>{row.seconds:.1f}</td></tr>"
        )
    return f"<table>{head}{body}</table>"


def _curve(curves):
    """Accuracy against epsilon as an SVG, one line an attack."""
    if not curves:
        return "<p>Not computed.</p>"
    widest = max(max(c["epsilon"]) for c in curves.values()) or 1.0
    parts = []
    for tick in range(5):
        y, x = _y(tick / 4), _x(tick / 4)
        parts.append(
            f'<path d="M{LEFT} {y}H{WIDTH}" stroke="#ddd"/>'
            f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">'
            f"{tick / 4:.0%}</text>"
            f'<text x="{x}" y="{HEIGHT - 20}" text-anchor="middle">'
            f"{widest * tick / 4:.3g}</text>"
        )
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = [
            (_x(e / widest), _y(a))
            for e, a in zip(curve["epsilon"], curve["accuracy"], strict=True)
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" '
            'stroke-width="2"/>'
        )
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
            for x, y in points
        ]
        parts.append(
            f'<text x="{WIDTH}" y="{20 + 16 * number}" text-anchor="end" '
            f'fill="{colour}">{html.escape(name)}</text>'
        )
    examples = next(iter(curves.values()))["examples"]
    return (
        f'<svg viewBox="0 0 {WIDTH + 20} {HEIGHT}" width="{WIDTH + 20}" '
        f'role="img" aria-label="accuracy against epsilon">{"".join(parts)}'
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 4}" text-anchor="middle">epsilon'
        f"</text></svg><p>On the first {examples} examples.</p>"
    )


def _x(share):
    return LEFT + share * (WIDTH - LEFT)


def _y(share):
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - 10)


def _strip(images):
    """Rows of clean images, perturbations and perturbed images."""
    (_, clean), (name, worst) = images.items()
    pictures = clean["point"]
    if pictures.ndim == 3:
        pictures = pictures[..., np.newaxis]
    if pictures.ndim != 4 or pictures.shape[-1] not in (1, 3):
        return "<p>The inputs are not images.</p>"
    moved = worst["point"].reshape(pictures.shape)
    low, high = pictures.min(), pictures.max()
    shift = moved - pictures
    reach = max(np.abs(shift).max(), 1e-12)
    rows = [
        ("clean", (pictures - low) / (high - low), clean["predicted"]),
        (f"perturbation, up to {reach:.3g}", 0.5 + shift / (2 * reach), None),
        (name, np.clip((moved - low) / (high - low), 0, 1), worst["predicted"]),
    ]
    cells = "".join(_strip_row(*row, clean["label"]) for row in rows)
    return f'<div class="strip"><table>{cells}</table></div>'


def _strip_row(title, pictures, predicted, labels):
    cells = f"<td>{html.escape(title)}</td>"
    for number, picture in enumerate(pictures):
        caption = ""
        if predicted is not None:
            right = predicted[number] == labels[number]
            mood = "right" if right else "wrong"
            caption = f'<span class="{mood}">{predicted[number]}</span>'
        cells += f'<td><img alt="" src="{_png(picture)}">{caption}</td>'
    return f"<tr>{cells}</tr>"


def _png(picture):
    pixels = np.round(255 * picture).astype(np.uint8)
    data = base64.b64encode(tf.io.encode_png(pixels).numpy()).decode()
    return f"data:image/png;base64,{data}"


def _check(check):
    state = "ok" if check.passed else "FAILED" if check.critical else "note"
    return _entry(f"{check.name}: {state}", check.detail)


def _entry(key, value):
    return f"<dt>{html.escape(key)}</dt><dd>{html.escape(str(value))}</dd>"
