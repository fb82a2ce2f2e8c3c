"""Images with a window of others, and labels to match."""

import tensorflow as tf

from tfrobust import checks, streams
from tfrobust.types import TensorLike


def cut_mix(
    dataset: tf.data.Dataset, classes: int, seed: int = 0
) -> tf.data.Dataset:
    """Puts a window of the image before it into each image of a batch.

    The window covers `1 - share` of the image, `share` drawn from U[0, 1),
    where it doesn't reach over the edge; labels are mixed by what is seen. The
    draws are keyed by the two images and the seed: shuffle before, so that
    other images meet in each epoch. The labels of the mixture are soft, so
    model and attack need a loss that reads them.

    Args:
        dataset: Batches of images, `[batch, height, width, channels]`, and
            labels: integers `[batch]`, or soft ones `[batch, classes]`.
        classes: Number of classes, at least 2.
        seed: Integer that keys the draws.

    Returns:
        A dataset of images and soft labels, `[batch, classes]`, float32.

    Raises:
        TypeError: If `dataset` isn't a `tf.data.Dataset`.
        ValueError: If its batches aren't such images and labels.

    Example:
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        attack = tfr.attacks.PGD(linf, loss=loss)
        objective = tfr.objectives.WorstCase(attack)
        model.compile(keras.optimizers.Adam(use_ema=True), loss, objective)
        model.fit(
            tfr.instances.cut_mix(data.shuffle(50000).batch(128), classes=10)
        )

    Reference: Yun et al., 2019, arXiv 1905.04899, equations 1 and 2, with
        alpha = 1; Rebuffi et al., 2021, arXiv 2103.01946, with averaged
        weights.
    """
    checks.kind(dataset, tf.data.Dataset, "dataset", "data.batch(128)")
    checks.count(classes, "classes", least=2)
    checks.count(seed, "seed", least=0)
    _check(dataset.element_spec, classes)
    return dataset.map(
        lambda x, y: _mixed(x, _soft(y, classes), seed), tf.data.AUTOTUNE
    )


def _check(spec, classes):
    """Refuses what are no batches of images and labels."""
    pair = isinstance(spec, tuple) and len(spec) == 2
    pair = pair and all(isinstance(part, tf.TensorSpec) for part in spec)
    images = pair and spec[0].shape.rank == 4
    if not images or not _is_label(spec[1].shape, classes):
        raise ValueError(
            "`dataset` must hold batches (x, y) of images [batch, height, "
            "width, channels] and labels [batch] or [batch, classes], without "
            f"index or weights. Received: classes={classes}, {spec}. Batch it "
            "first."
        )


def _is_label(shape, classes):
    return shape.rank == 1 or shape.rank == 2 and shape[-1] in (1, classes)


def _soft(y, classes):
    """Labels as distributions, `[batch, classes]`."""
    if y.shape.rank == 2 and y.shape[-1] == classes:
        return tf.cast(y, tf.float32)
    logits = tf.TensorSpec([y.shape[0], classes])
    return tf.one_hot(checks.labels(y, logits), classes)


def _mixed(x: tf.Tensor, y: tf.Tensor, seed: TensorLike) -> tuple:
    """Mixes each example with the one before it."""
    other, size = tf.roll(x, 1, axis=0), tf.shape(x)
    keys = streams.keys(tf.stack([x, other], axis=1))
    share, *centre = tf.split(streams.draw(keys, seed, 3), 3, axis=1)
    side = tf.sqrt(1 - share)
    rows = _covered(size[1], side, centre[0])
    columns = _covered(size[2], side, centre[1])
    cut = rows[:, :, tf.newaxis] & columns[:, tf.newaxis]
    area = tf.reduce_mean(tf.cast(cut, tf.float32), axis=[1, 2])[:, tf.newaxis]
    mixed = tf.where(cut[..., tf.newaxis], other, x)
    return mixed, (1 - area) * y + area * tf.roll(y, 1, axis=0)


def _covered(size, side, centre):
    """Which of the pixels along an axis a window covers, `[batch, size]`."""
    length = tf.cast(size, tf.float32)
    middle = tf.cast(length * centre, tf.int32)
    half = tf.cast(length * side / 2, tf.int32)
    pixels = tf.range(size)
    return (pixels >= middle - half) & (pixels < middle + half)
