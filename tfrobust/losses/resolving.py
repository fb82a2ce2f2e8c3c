"""Losses by name, of Keras or ours, and what they give of each example."""

import tensorflow as tf

from tfrobust.backend import keras
from tfrobust.losses.classes import DLR, CrossEntropy, Margin
from tfrobust.losses.functions import cross_entropy, dlr, kl, margin
from tfrobust.types import Loss, TensorLike

_FUNCTIONS = {f.__name__: f for f in (cross_entropy, margin, dlr, kl)}


def per_example(loss: Loss, y: TensorLike, outputs: tf.Tensor) -> tf.Tensor:
    """Applies a Keras loss or a function without reduction: `[batch]`.

    Example:
        `tfr.losses.per_example(tfr.losses.Margin(), y, network(x))`
    """
    call = loss.call if isinstance(loss, keras.losses.Loss) else loss
    y = in_a_column(y, outputs)
    losses = tf.cast(call(y, outputs), tf.float32)
    if losses.shape.rank == 0:
        raise ValueError(
            "`loss` must give one number for each example. Received: "
            f"{loss!r}, which gave a scalar. Remove its reduction."
        )
    return tf.reduce_mean(losses, axis=list(range(1, losses.shape.rank)))


def in_a_column(y: TensorLike, outputs: tf.Tensor) -> tf.Tensor:
    """Targets `[batch]` of outputs `[batch, 1]` get that shape, as in Keras.

    Some functions would broadcast one against the other.
    """
    y = y if hasattr(y, "shape") else tf.convert_to_tensor(y)
    single = len(outputs.shape) == len(y.shape) + 1 and outputs.shape[-1] == 1
    return tf.expand_dims(y, -1) if single else y


def get(loss: Loss | str | None) -> Loss:
    """Resolves `loss`, refusing cross entropies that expect probabilities.

    Args:
        loss: A Keras loss on logits, a function `(y, logits) -> [batch]`, the
            name of either, or None for `CrossEntropy()`.

    Example:
        `loss = tfr.losses.get("margin")`
    """
    if loss is None:
        return CrossEntropy()
    if isinstance(loss, str) and loss in _FUNCTIONS:
        return _FUNCTIONS[loss]
    found = keras.losses.get(loss) if isinstance(loss, str) else loss
    name = getattr(found, "__name__", type(found).__name__)
    config = found.get_config() if isinstance(found, keras.losses.Loss) else {}
    if config.get("ignore_class") is not None:
        raise ValueError(
            "`loss` must count every class: metrics and attacks do. Received: "
            f"{loss!r} with ignore_class={config['ignore_class']}. Drop those "
            "examples from the data."
        )
    # Keras's functions read probabilities unless they are told otherwise.
    function = getattr(keras.losses, name, None) is found
    reads = config.get("from_logits", not (function and "entropy" in name))
    if not reads:
        raise ValueError(
            f"`loss` must read logits. Received: {loss!r}, which reads "
            "probabilities. Use tfrobust.losses.CrossEntropy() or pass "
            "from_logits=True."
        )
    return found


def reads_classes(loss: Loss) -> bool:
    """Whether `loss` compares logits with integer class labels."""
    sparse = keras.losses.SparseCategoricalCrossentropy
    kinds = CrossEntropy, Margin, DLR, sparse
    return isinstance(loss, kinds) or loss in (cross_entropy, margin, dlr)
