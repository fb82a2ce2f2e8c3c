"""A picture of images and of what models read of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfrobust import checks, pictures
from tfrobust.analysis.maps import same_shape
from tfrobust.analysis.problem import floats
from tfrobust.types import Path, TensorLike

# Of the magnitudes, so that a few large ones don't darken the rest.
_PERCENTILE = 99


def grid(
    path: Path,
    images: TensorLike,
    maps: TensorLike | Mapping[str, TensorLike],
    titles: Sequence[str] | None = None,
    low: float = 0.0,
    high: float = 1.0,
) -> None:
    """Writes a picture with a row for each example: image, map, overlay.

    Maps are red where they are positive and blue where they are negative, up
    to the 99th percentile of each one's magnitudes; channels are added. The
    overlay shows magnitudes on the image.

    Args:
        path: File to write, such as `"maps.png"`.
        images: Shape `[batch, height, width]`, or with 1 or 3 channels.
        maps: Of the shape of images; or several by name, such as `{"plain":
            ..., "robust": ...}`, each with two columns.
        titles: Of the rows, such as the names of classes; None for none.
        low: Value of images that is black.
        high: Value of images that is white.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If an argument isn't as expected.

    Example:
        maps = tfr.analysis.saliency(model, x)
        tfr.analysis.grid("maps.png", x, {"saliency": maps})
    """
    checks.finite(low=low, high=high)
    checks.argument(low < high, "low", f"be below high={high}", low)
    shown = floats(images, "images")
    fine = shown.ndim == 3 or (shown.ndim == 4 and shown.shape[3] in (1, 3))
    expected = "have the shape [batch, height, width], or 1 or 3 channels"
    checks.argument(fine, "images", expected, shown)
    named = dict(maps) if isinstance(maps, Mapping) else {"map": maps}
    checks.argument(bool(named), "maps", "hold one at least", "none")
    for name, values in named.items():
        same_shape(shown, values, f"`images` and `maps` ({name})")
        named[name] = _flattened(floats(values, "maps"))
    if titles is not None and len(titles) != len(shown):
        raise ValueError(
            "`titles` must hold one for each image. Received: "
            f"{len(titles)} titles and {len(shown)} images."
        )
    shown = np.clip((shown - low) / (high - low), 0, 1)
    if shown.ndim == 4 and shown.shape[3] == 1:
        shown = shown[..., 0]
    _draw(path, shown, named, titles)


def _draw(path, shown, named, titles):
    columns = 1 + 2 * len(named)
    figure = pictures.figure(1.4 * columns, 1.4 * len(shown) + 0.3)
    panels = figure.subplots(len(shown), columns, squeeze=False)
    for row, image in enumerate(shown):
        _picture(panels[row, 0], image)
        for k, values in enumerate(named.values()):
            _map(panels[row, 1 + 2 * k], values[row])
            _overlay(panels[row, 2 + 2 * k], image, values[row])
        if titles is not None:
            panels[row, 0].set_ylabel(str(titles[row]))
    for panel in panels.flat:
        panel.set(xticks=[], yticks=[])
    heads = ["image"]
    for name in named:
        heads += [name, "overlay" if name == "map" else f"{name}, overlay"]
    for panel, head in zip(panels[0], heads, strict=True):
        panel.set_title(head, fontsize=9)
    pictures.save(figure, path)


def _picture(panel: Any, image: np.ndarray) -> None:
    panel.imshow(image, cmap="gray", vmin=0, vmax=1)


def _map(panel, values):
    limit = _limit(values)
    panel.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit)


def _overlay(panel, image, values):
    _picture(panel, image if image.ndim == 2 else image.mean(axis=-1))
    share = np.clip(np.abs(values) / _limit(values), 0, 1)
    panel.imshow(share, cmap="hot", vmin=0, vmax=1, alpha=0.8 * share)


def _limit(values):
    """The magnitude at the end of the colours, positive."""
    magnitude = np.abs(values)
    return float(np.percentile(magnitude, _PERCENTILE)) or max(
        float(magnitude.max()), 1e-30
    )


def _flattened(values):
    """Maps `[batch, height, width]`: channels are added."""
    return values.sum(axis=-1) if values.ndim == 4 else values
