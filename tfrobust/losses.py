"""Losses on logits: pure per-example functions and their Keras losses.

Every function gives one loss for each example; larger is worse for the model,
so attacks ascend and training descends the same number.
"""

import tensorflow as tf

from tfrobust.backend import keras, register
from tfrobust.types import Loss, TensorLike

__all__ = (
    "CrossEntropy DLR KL Margin cross_entropy dlr get kl margin per_example "
    "targeted_dlr"
).split()


def __dir__() -> list[str]:
    return __all__


@register
def cross_entropy(
    y: TensorLike, logits: TensorLike, label_smoothing: float = 0.0
) -> tf.Tensor:
    """Cross entropy of integer labels `[batch]` and logits, shape `[batch]`.

    With smoothing s the target is `(1 - s) * onehot + s / classes`.
    """
    y, logits = class_labels(y, logits)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
    if label_smoothing == 0.0:
        return losses
    uniform = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=-1)
    return (1 - label_smoothing) * losses + label_smoothing * uniform


def true_class(y: TensorLike, logits: tf.Tensor) -> tf.Tensor:
    """Whether each logit is that of the label, of logits' shape, bool."""
    return tf.one_hot(y, logits.shape[-1], True, False, dtype=tf.bool)


@register
def margin(y: TensorLike, logits: TensorLike) -> tf.Tensor:
    """The best wrong logit minus the true one: positive iff misclassified."""
    y, logits = class_labels(y, logits)
    true = true_class(y, logits)
    correct = tf.reduce_sum(tf.where(true, logits, 0.0), axis=-1)
    return tf.reduce_max(tf.where(true, -float("inf"), logits), -1) - correct


@register
def dlr(y: TensorLike, logits: TensorLike) -> tf.Tensor:
    """Difference of logits ratio.

    Reference: Croce and Hein, 2020, arXiv 2003.01690, equation 6.
    """
    logits = tf.cast(logits, tf.float32)
    if logits.shape[-1] < 3:
        raise ValueError(
            "The DLR loss needs at least 3 classes. Received logits of shape "
            f"{logits.shape}. Use `margin` or `cross_entropy`."
        )
    first, _, third = tf.unstack(tf.math.top_k(logits, 3).values, 3, -1)
    return margin(y, logits) / (first - third + 1e-12)


def targeted_dlr(
    y: TensorLike, target: TensorLike, logits: tf.Tensor
) -> tf.Tensor:
    """Difference of logits ratio towards the class `target`.

    Reference: Croce and Hein, 2020, arXiv 2003.01690, equation 7.
    """
    if logits.shape[-1] < 4:
        raise ValueError(
            "The targeted DLR loss needs at least 4 classes. Received logits "
            f"of shape {logits.shape}. Use the `margin` loss without targets."
        )
    y, logits = class_labels(y, logits)
    target, _ = class_labels(target, logits)
    first, _, third, fourth = tf.unstack(tf.math.top_k(logits, 4).values, 4, -1)
    gap = tf.one_hot(target, logits.shape[-1]) - tf.one_hot(y, logits.shape[-1])
    gain = tf.reduce_sum(gap * logits, axis=-1)
    return gain / (first - (third + fourth) / 2 + 1e-12)


@register
def kl(clean: TensorLike, logits: TensorLike) -> tf.Tensor:
    """KL(softmax(clean) || softmax(logits)), shape `[batch]`."""
    clean, logits = (tf.cast(z, tf.float32) for z in (clean, logits))
    gap = tf.nn.log_softmax(clean) - tf.nn.log_softmax(logits)
    return tf.reduce_sum(tf.nn.softmax(clean) * gap, axis=-1)


def class_labels(y: TensorLike, logits: TensorLike) -> tuple[tf.Tensor, ...]:
    """Returns `whole_labels`, and logits as float32."""
    logits = tf.cast(logits, tf.float32)
    return whole_labels(y, logits.shape), logits


def whole_labels(y: TensorLike, shape: tf.TensorShape) -> tf.Tensor:
    """Returns labels as int32 `[batch]`.

    Raises:
        ValueError: If the labels are one-hot or soft, or the `shape` of the
            logits isn't `[batch, classes]` with at least two classes.
    """
    y = tf.convert_to_tensor(y)
    if shape.rank != 2 or shape[-1] == 1:
        raise ValueError(
            "A classification loss needs logits of shape [batch, classes] with "
            f"at least 2 classes. Received shape {shape}. For one logit pass "
            "tfr.logits_of(network); for regression choose another loss."
        )
    if y.shape.rank == 2 and y.shape[-1] == 1:
        y = tf.squeeze(y, -1)
    if y.shape.rank != 1:
        raise ValueError(
            "`y` must hold integer class labels of shape [batch]. Received "
            f"shape {y.shape}, which looks one-hot or soft. Pass "
            "np.argmax(y, axis=-1); for regression pass a regression loss, "
            "such as loss=keras.losses.MeanSquaredError()."
        )
    return tf.cast(y, tf.int32)


def per_example(loss: Loss, y: TensorLike, outputs: tf.Tensor) -> tf.Tensor:
    """Applies a Keras loss or a function without reduction: `[batch]`."""
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


@register
class CrossEntropy(keras.losses.Loss):
    """Cross entropy of integer labels and logits, with label smoothing.

    Args:
        label_smoothing: Weight in [0, 1) of the uniform target.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        name: str = "cross_entropy",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(
                "`label_smoothing` must lie in [0, 1). "
                f"Received: label_smoothing={label_smoothing}"
            )
        self.label_smoothing = label_smoothing

    def call(self, y_true: TensorLike, y_pred: TensorLike) -> tf.Tensor:
        return cross_entropy(y_true, y_pred, self.label_smoothing)

    def get_config(self) -> dict:
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@register
class Margin(keras.losses.Loss):
    """The `margin` function as a Keras loss."""

    def __init__(self, name: str = "margin", **kwargs):
        super().__init__(name=name, **kwargs)

    call = staticmethod(margin)


@register
class DLR(keras.losses.Loss):
    """The `dlr` function as a Keras loss."""

    def __init__(self, name: str = "dlr", **kwargs):
        super().__init__(name=name, **kwargs)

    call = staticmethod(dlr)


@register
class KL(keras.losses.Loss):
    """The `kl` function as a Keras loss: `y_true` holds reference logits."""

    def __init__(self, name: str = "kl", **kwargs):
        super().__init__(name=name, **kwargs)

    call = staticmethod(kl)


_FUNCTIONS = {f.__name__: f for f in (cross_entropy, margin, dlr, kl)}
