"""The strip of examples: clean, perturbed, and what the model answers."""

import base64
import html

import numpy as np
import tensorflow as tf


def draw(images):
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
    labels = [f"true {label}" for label in clean["label"]]
    rows = [
        ("clean", (pictures - low) / width, clean),
        (f"perturbation, up to {reach:.3g}", 0.5 + shift / (2 * reach), None),
        (list(images)[1], (moved - low) / width, attacked[0]),
    ]
    heads = "".join(f"<td>{html.escape(label)}</td>" for label in labels)
    cells = f"<tr><td>label</td>{heads}</tr>"
    cells += "".join(_row(*row) for row in rows)
    scales = _scale(-reach, reach, "perturbation")
    scales += _scale(low, low + width, "inputs")
    return (
        f'<div class="wide"><table class="strip">{cells}</table></div>'
        f'<p class="note">Under each picture: what the model answers; a cross '
        f"marks what differs from the label.</p>{scales}"
    )


def _scale(low, high, what):
    """A colour scale from black to white, or of each channel likewise."""
    greys = "".join(
        f'<rect x="{80 + 8 * n}" y="2" width="8" height="12" '
        f'fill="rgb({17 * n},{17 * n},{17 * n})"/>'
        for n in range(16)
    )
    return (
        f'<svg class="scale" viewBox="0 0 420 16" width="420" height="16" '
        f'role="img" aria-label="colour scale of {what}">'
        f'<text x="75" y="12" text-anchor="end">{low:.3g}</text>{greys}'
        f'<text x="214" y="12">{high:.3g} ({what}, each channel)</text></svg>'
    )


def _row(title, pictures, answer):
    cells = f"<td>{html.escape(title)}</td>"
    for number, picture in enumerate(pictures):
        caption = ""
        if answer:
            predicted = answer["predicted"][number]
            right = predicted == answer["label"][number]
            mood = "right" if right else "wrong"
            caption = f'<span class="{mood}">{predicted}</span>'
            caption += "" if right else " \u2717"
        cells += f'<td><img alt="" src="{_png(picture)}">{caption}</td>'
    return f"<tr>{cells}</tr>"


def _png(picture):
    pixels = np.clip(np.nan_to_num(picture), 0, 1)
    pixels = np.round(255 * pixels).astype(np.uint8)
    data = base64.b64encode(tf.io.encode_png(pixels).numpy()).decode()
    return f"data:image/png;base64,{data}"
