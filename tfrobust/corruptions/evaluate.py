"""Evaluating a model on corrupted images."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.corruptions import blur, digital, light, noise
from tfrobust.corruptions.images import SEVERITIES
from tfrobust.corruptions.report import CorruptionReport
from tfrobust.evaluation.batches import batches
from tfrobust.evaluation.network import Network, callable_of
from tfrobust.progress import Progress
from tfrobust.types import Model, Path, TensorLike

CORRUPTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        noise.gaussian_noise,
        noise.shot_noise,
        noise.impulse_noise,
        noise.speckle_noise,
        blur.gaussian_blur,
        blur.defocus_blur,
        blur.motion_blur,
        blur.zoom_blur,
        light.fog,
        light.brightness,
        light.contrast,
        light.saturate,
        digital.pixelate,
        digital.jpeg,
        digital.elastic,
    )
}


def evaluate(
    model: Model | Path,
    data: tuple[TensorLike, TensorLike] | tf.data.Dataset,
    corruptions: Sequence[str] | Mapping[str, Callable] | None = None,
    severities: Sequence[int] = (1, 2, 3, 4, 5),
    batch_size: int = 128,
    seed: int = 0,
    verbose: int = 1,
) -> CorruptionReport:
    """Evaluates a model on images that are corrupted in common ways.

    No attacker chooses them: a model may withstand all of them and no attack,
    or the other way round. Corruptions are written from their formulas, with
    severities of our own; the figures can't be compared with those of
    CIFAR-10-C.

    Args:
        model: As `tfr.evaluate`.
        data: A pair of arrays, images in [0, 1] `[n, height, width, channels]`
            and integer labels `[n]`; or a batched `tf.data.Dataset` of them.
        corruptions: Names of some; or functions `(x, severity, seed) -> x` by
            name, for some of your own; None for all, but for `saturate` of
            grey images.
        severities: Some of 1 to 5.
        batch_size: Number of images at a time, for arrays.
        seed: Integer that keys the noise. It doesn't depend on the batch.
        verbose: 1 shows a progress bar, 0 is silent.

    Returns:
        A `CorruptionReport`: print it, or `save` it.

    Raises:
        ValueError: If images, labels, names or severities aren't as expected.

    Example:
        ```
        report = tfr.corruptions.evaluate(
            model, (x_test, y_test), ["fog", "jpeg"], severities=[1, 5]
        )
        print(report.mean_corruption_accuracy)
        report.save("corruptions.json")
        ```

    Reference: Hendrycks and Dietterich, 2019, arXiv 1903.12261.
    """
    named, severities = _functions(corruptions), list(severities)
    checks.argument(bool(severities), "severities", "name some", severities)
    for severity in severities:
        checks.count(severity, "severities")
        fits = severity <= SEVERITIES
        checks.argument(fits, "severities", "lie from 1 to 5", severities)
    right, count, bar, network = None, 0, None, None
    parts, total = batches(data, batch_size)
    with callable_of(model) as called:
        for x, y in parts:
            x = checks.inputs(x, 0.0, 1.0)
            if network is None:
                network = Network(called, x.shape[1:])
                if corruptions is None and x.shape[-1] != 3:
                    del named["saturate"]
            bar = bar or Progress(
                f"clean, {', '.join(named)}",
                total and total * (1 + len(named)),
                verbose,
            )
            found = _right(network, x, y, named, severities, seed, bar)
            right = found if right is None else right + found
            count += len(y)
    if right is None:
        raise ValueError("`data` must hold at least one example.")
    clean, *rows = (right / count).tolist()
    accuracy = dict(zip(named, rows, strict=True))
    return CorruptionReport(clean[0], accuracy, severities, count, seed)


def _functions(given):
    """Corruptions by name."""
    if given is None:
        return dict(CORRUPTIONS)
    if isinstance(given, Mapping):
        return dict(given)
    expected = f"be some of {', '.join(CORRUPTIONS)}"
    for name in given:
        checks.argument(name in CORRUPTIONS, "corruptions", expected, name)
    return {name: CORRUPTIONS[name] for name in given}


def _right(network, x, y, named, severities, seed, bar):
    """How many are right, a row for clean images and each corruption."""

    def count(images):
        logits = network(tf.cast(images, tf.float32))
        labels = checks.labels(y, logits).numpy()
        fine = np.all(np.isfinite(logits), axis=1)
        return int(np.sum((np.argmax(logits, axis=1) == labels) & fine))

    rows = [[count(x)] * len(severities)]
    bar.step()
    for function in named.values():
        rows.append([count(function(x, s, seed)) for s in severities])
        bar.step()
    return np.array(rows)
