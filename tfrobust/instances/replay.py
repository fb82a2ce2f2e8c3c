"""Batches that come several times in a row."""

import tensorflow as tf

from tfrobust import checks


def replayed(dataset: tf.data.Dataset, times: int) -> tf.data.Dataset:
    """Repeats each batch, as `tfr.objectives.Free` trains.

    Args:
        dataset: Batches.
        times: How often each comes in a row, at least 1.

    Raises:
        TypeError: If `dataset` isn't a `tf.data.Dataset`.
        ValueError: If `times` isn't a positive whole number.

    Example:
        `model.fit(tfr.instances.replayed(data.batch(128), 8), epochs=4)`
    """
    example = "dataset.batch(128)"
    checks.kind(dataset, tf.data.Dataset, "dataset", example)
    checks.count(times, "times")
    size = dataset.cardinality()
    repeated = dataset.flat_map(
        lambda *batch: tf.data.Dataset.from_tensors(batch).repeat(times)
    )
    if size < 0:
        return repeated
    return repeated.apply(tf.data.experimental.assert_cardinality(size * times))
