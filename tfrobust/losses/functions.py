"""Losses on logits as functions of a batch."""

import tensorflow as tf

from tfrobust.backend import register
from tfrobust.types import TensorLike


@register
def cross_entropy(
    y: TensorLike, logits: TensorLike, label_smoothing: float = 0.0
) -> tf.Tensor:
    """Cross entropy of integer labels `[batch]` and logits, shape `[batch]`.

    With smoothing s the target is `(1 - s) * onehot + s / classes`.

    Example:
        `tfr.losses.cross_entropy(y, network(x))`
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
    """The best wrong logit minus the true one: positive iff misclassified.

    Example:
        `tfr.losses.margin(y, network(x)) > 0  # Misclassified.`
    """
    y, logits = class_labels(y, logits)
    true = true_class(y, logits)
    correct = tf.reduce_sum(tf.where(true, logits, 0.0), axis=-1)
    return tf.reduce_max(tf.where(true, -float("inf"), logits), -1) - correct


@register
def dlr(y: TensorLike, logits: TensorLike) -> tf.Tensor:
    """Difference of logits ratio.

    Example:
        `tfr.losses.dlr(y, network(x))`

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

    Example:
        `tfr.losses.targeted_dlr(y, (y + 1) % 10, network(x))`

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
    """KL(softmax(clean) || softmax(logits)), shape `[batch]`.

    Example:
        `tfr.losses.kl(network(x), network(x_test))`
    """
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
