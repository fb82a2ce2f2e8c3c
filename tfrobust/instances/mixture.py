"""Batches of original and of extra data in a fixed share."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks, streams

_KINDS = ("original", "extra")


def mixture(
    original: Any,
    extra: Any,
    fraction: float = 0.7,
    batch_size: int = 128,
    seed: int = 0,
    step: Any = None,
    epoch: str = "original",
) -> tf.data.Dataset:
    """Makes batches of which a fixed share is extra data.

    Arrays are shuffled anew for each epoch; datasets come in their own order.
    The kind that epochs aren't counted by goes round and round. Both kinds are
    spread over the batch, so that every replica gets its share.

    Args:
        original: Arrays `(x, y)`, or `(Indexed(x, index), y)`; or a
            `tf.data.Dataset` of single such examples.
        extra: More of the same shapes and types, generated data for one.
        fraction: The share of extra data in each batch, in (0, 1). It is
            rounded to whole examples.
        batch_size: Number of examples in a batch.
        seed: Integer that keys the orders.
        step: Integer variable that keys the orders too, commonly
            `model.optimizer.iterations`: then a killed run that goes on at an
            epoch sees the batches that it would have. Without one, it begins
            with the orders of the first epoch.
        epoch: Which kind is passed once in an epoch: `"original"` or
            `"extra"`. Examples at its end that fill no batch are left out.

    Returns:
        A dataset of full batches, for `fit`.

    Raises:
        TypeError: If either is neither a tuple of arrays nor a dataset.
        ValueError: If the two aren't of the same shapes and types, or too
            small for a batch, or an argument is out of range.

    Example:
        data = tfr.instances.mixture(
            (x, y), (generated, labels), step=model.optimizer.iterations
        )
        model.fit(data, epochs=100)

    Reference: Wang et al., 2023, arXiv 2302.04638, who take 0.7.
    """
    checks.number(fraction, "fraction", 0, 1)
    checks.count(batch_size, "batch_size", least=2)
    checks.count(seed, "seed", least=0)
    expected = "be 'original' or 'extra'"
    checks.argument(epoch in _KINDS, "epoch", expected, epoch)
    counts = _counts(fraction, batch_size)
    parts = [
        _batches(data, kind, count, _starts(seed, step), kind != epoch)
        for data, kind, count in zip(
            (original, extra), _KINDS, counts, strict=True
        )
    ]
    _check_alike(*(part.element_spec for part in parts))
    order = _spread(*counts)
    return tf.data.Dataset.zip(tuple(parts)).map(
        lambda *both: _merged(order, *both), tf.data.AUTOTUNE
    )


def _counts(fraction, batch_size):
    """How many examples of a batch are original, and how many extra."""
    extra = round(fraction * batch_size)
    if not 0 < extra < batch_size:
        raise ValueError(
            "`fraction` must leave a batch examples of both kinds. Received: "
            f"fraction={fraction}, batch_size={batch_size}, of which {extra} "
            "would be extra. Choose a larger batch, or train on one kind."
        )
    return batch_size - extra, extra


def _starts(seed, step):
    """A dataset of one key of the orders, another one in each iteration."""
    if step is None:
        drawn = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
        return drawn.take(1)

    def key(_):
        # Read in Python: tf.data can't reach a variable that is on a GPU.
        now = tf.numpy_function(
            lambda: np.asarray(step, np.int64), [], tf.int64
        )
        return streams.fold(seed, tf.ensure_shape(now, []))

    return tf.data.Dataset.range(1).map(key)


def _batches(data, kind, count, starts, again):
    """Batches of one kind, of one pass or again and again."""
    arrays = None
    if not isinstance(data, tf.data.Dataset):
        arrays = _arrays(data, kind)
        length = tf.nest.flatten(arrays)[0].shape[0]
        _check_length(length, kind, count)
        places = starts.flat_map(
            lambda key: _places(length, streams.fold(key, count), again)
        )
        batches = places.batch(count, drop_remainder=True)
        return _sized(batches.map(_lookup(arrays)), length // count, again)
    _check_length(int(data.cardinality()), kind, count)
    data = data.repeat() if again else data
    return data.batch(count, drop_remainder=True)


def _places(length, key, again):
    """Positions in a random order, another one in each pass."""

    def order(number):
        keys = tf.stack([key, number])
        return tf.data.Dataset.from_tensor_slices(
            tf.random.experimental.stateless_shuffle(
                tf.range(length, dtype=tf.int64), keys, alg="philox"
            )
        )

    passes = tf.data.Dataset.counter() if again else tf.data.Dataset.range(1)
    return passes.flat_map(order)


def _sized(batches, size, again):
    """Batches that know their number, which a shuffle by key hides."""
    size = tf.data.INFINITE_CARDINALITY if again else size
    return batches.apply(tf.data.experimental.assert_cardinality(size))


def _arrays(data, kind):
    """Arrays of one length as tensors."""
    if not isinstance(data, tuple) or len(data) < 2:
        raise TypeError(
            f"`{kind}` must be a tuple of arrays, (x, y), or a "
            "tf.data.Dataset of single examples. Received: "
            f"{kind}={checks.shown(data)}"
        )
    with tf.device("CPU"):
        arrays = tf.nest.map_structure(tf.convert_to_tensor, data)
    shapes = [tuple(array.shape) for array in tf.nest.flatten(arrays)]
    if () in shapes or len({shape[0] for shape in shapes}) > 1:
        raise ValueError(
            f"`{kind}` must hold arrays of one length. Received shapes: "
            f"{', '.join(map(str, shapes))}"
        )
    return arrays


def _lookup(arrays):
    def examples(places):
        return tf.nest.map_structure(lambda a: tf.gather(a, places), arrays)

    return examples


def _check_length(length, kind, count):
    if 0 <= length < count:
        raise ValueError(
            f"`{kind}` must fill its part of a batch, {count} examples. "
            f"Received: {length}. Choose a smaller batch."
        )


def _check_alike(original, extra):
    """Refuses batches that can't be joined."""
    specs = [tf.nest.flatten(spec) for spec in (original, extra)]
    try:
        tf.nest.assert_same_structure(original, extra)
        alike = all(map(_joins, *specs))
    except (TypeError, ValueError):
        alike = False
    if not alike:
        shown = (
            ", ".join(f"{s.dtype.name} {tuple(s.shape[1:])}" for s in spec)
            for spec in specs
        )
        raise ValueError(
            "`original` and `extra` must hold examples of the same shapes and "
            f"types. Received: {' and '.join(shown)}. Convert one of them, "
            "such as y.astype('int64')."
        )


def _joins(one, two):
    shapes = one.shape[1:], two.shape[1:]
    return one.dtype == two.dtype and shapes[0].is_compatible_with(shapes[1])


def _spread(original, extra):
    """Where each example of a batch stands in originals, then extras."""
    places = [(np.arange(n) + 0.5) / n for n in (original, extra)]
    return np.argsort(np.concatenate(places), kind="stable")


def _merged(order, *parts):
    return tf.nest.map_structure(
        lambda one, two: tf.gather(tf.concat([one, two], 0), order), *parts
    )
