"""Accuracy against epsilon, drawn as an SVG."""

import html

from tfrobust.evaluation.row import wilson

COLOURS = ("#0b6e99", "#c1443c", "#4c8c4a", "#8a5fb0", "#b8860b")
WIDTH, HEIGHT, LEFT, BOTTOM = 720, 280, 50, 40


def draw(curves):
    """Returns HTML with one line for each curve.

    Args:
        curves: Name to a dictionary of the lists `epsilon` and `accuracy`,
            and of `examples`, on how many it was computed.
    """
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
        parts.append(_band(curve, widest, colour))
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
    counts = {str(curve["examples"]): None for curve in curves.values()}
    return (
        f'<svg viewBox="0 0 {WIDTH + 20} {HEIGHT}" width="{WIDTH + 20}" '
        f'role="img" aria-label="accuracy against epsilon">{"".join(parts)}'
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 4}" text-anchor="middle">epsilon'
        f"</text></svg><p>On the first {' or '.join(counts)} examples. "
        "Bands are 95 % Wilson score intervals.</p>"
    )


def _band(curve, widest, colour):
    """The 95 % interval of the curve's points."""
    count = curve["examples"]
    bands = [wilson(round(a * count), count) for a in curve["accuracy"]]
    xs = [_x(epsilon / widest) for epsilon in curve["epsilon"]]
    lows = [
        f"{x:.1f} {_y(low):.1f}" for x, (low, _) in zip(xs, bands, strict=True)
    ]
    highs = [
        f"{x:.1f} {_y(up):.1f}" for x, (_, up) in zip(xs, bands, strict=True)
    ]
    outline = "L".join([*lows, *reversed(highs)])
    return (
        f'<path class="band" d="M{outline}Z" fill="{colour}" '
        'fill-opacity="0.15"/>'
    )


def _x(share):
    return LEFT + share * (WIDTH - LEFT)


def _y(share):
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - 10)
