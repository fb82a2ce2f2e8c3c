"""Inputs that know which instances they are."""

from typing import Any, NamedTuple

from tfrobust.backend import keras


class Indexed(NamedTuple):
    """Inputs with their positions in the training data.

    It goes into `fit` in place of x, as arrays; or into a `tf.data.Dataset`
    or a `PyDataset` of `(Indexed(x, index), y)`, before anything is shuffled.
    Objectives that remember something of each instance find it by its index.

    Attributes:
        x: Inputs, shape `[batch, ...]`.
        index: Positions, distinct integers from 0 on, shape `[batch]`.

    Example:
        index = np.arange(len(x))
        model.fit(tfr.instances.Indexed(x, index), y)

        data = tf.data.Dataset.from_tensor_slices(
            (tfr.instances.Indexed(x, index), y)
        )
    """

    x: Any
    index: Any


def unindexed(inputs: Any) -> tuple[Any, Any]:
    """Returns inputs and their positions, which are None if not given."""
    return inputs if isinstance(inputs, Indexed) else (inputs, None)


def unpacked(data: Any) -> tuple[tuple[Any, Any], Any, Any]:
    """Returns (inputs, positions), labels and weights of a batch.

    Raises:
        ValueError: If it is `Indexed` alone, whose index would be the labels.
    """
    if isinstance(data, Indexed):
        raise ValueError(
            "A batch must hold labels beside `Indexed`. Received: Indexed "
            "alone. Pass fit(tfr.instances.Indexed(x, index), y), or a "
            "dataset of (Indexed(x, index), y)."
        )
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    return unindexed(x), y, sample_weight
