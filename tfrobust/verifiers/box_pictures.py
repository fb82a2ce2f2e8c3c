"""Pictures of certified boxes, in any format that matplotlib writes."""

import os

import numpy as np

from tfrobust import pictures
from tfrobust.verifiers.certified_boxes import CertifiedBoxes


def save_map(
    boxes: CertifiedBoxes, path: str | os.PathLike, example: int = 0
) -> None:
    """Writes an image next to the radii of its pixels.

    Args:
        boxes: `CertifiedBoxes` of images, `[batch, height, width]` or with
            1, 3 or 4 channels; their mean is shown.
        path: File to write, such as `"map.svg"`.
        example: Which of the images.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If the inputs are no images.

    Example:
        ```
        boxes = maximize_box(model, x, y, tfr.verifiers.CROWNIBP(linf))
        tfr.verifiers.save_map(boxes, "map.png")
        ```
    """
    image, radii = boxes.x[example], boxes.radii[example]
    if image.ndim not in (2, 3) or image.shape[2:] not in (
        (),
        (1,),
        (3,),
        (4,),
    ):
        raise ValueError(
            "A map needs inputs of shape [batch, height, width] or [batch, "
            f"height, width, channels]. Received: {boxes.x.shape}. For other "
            "inputs there is save_histogram."
        )
    if image.ndim == 3:
        image = image[..., 0] if image.shape[2] == 1 else image
        radii = radii.mean(axis=2)
    low, high = np.min(boxes.threat.low), np.max(boxes.threat.high)
    figure = pictures.figure(6.4, 3.0)
    left, right = figure.subplots(1, 2)
    left.imshow((image - low) / (high - low), cmap="gray", vmin=0, vmax=1)
    left.set(xticks=[], yticks=[], title="input")
    shown = right.imshow(radii, cmap="viridis", vmin=0)
    right.set(xticks=[], yticks=[], title="certified radius")
    figure.colorbar(shown, ax=right)
    pictures.save(figure, path)


def save_histogram(boxes: CertifiedBoxes, path: str | os.PathLike) -> None:
    """Writes how the radii of all certified examples are distributed.

    Args:
        boxes: `CertifiedBoxes`.
        path: File to write, such as `"radii.svg"`.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If no example is certified.

    Example:
        ```
        boxes = maximize_box(model, x, y, tfr.verifiers.CROWNIBP(linf))
        if boxes.certified.any():
            tfr.verifiers.save_histogram(boxes, "radii.png")
        ```
    """
    if not np.any(boxes.certified):
        raise ValueError(
            "A histogram needs radii. Received boxes of which none is "
            "certified."
        )
    radii = boxes.radii[boxes.certified]
    radii = radii[boxes.free[boxes.certified] > 0]
    figure = pictures.figure(4.8, 3.0)
    panel = figure.subplots()
    panel.hist(radii, bins=50)
    panel.axvline(
        boxes.uniform[boxes.certified].mean(),
        color="black",
        linestyle="--",
        label="mean of the uniform radii",
    )
    panel.set(xlabel="certified radius", ylabel="features")
    panel.legend()
    pictures.save(figure, path)
