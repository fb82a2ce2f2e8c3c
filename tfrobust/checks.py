"""Checks of what the user hands in: one sentence each.

On eager values they raise ValueError. Inside a compiled step, where values
aren't known yet, they add an assertion with the same sentence.
"""

import math
import numbers
import re
from typing import Any

import tensorflow as tf

from tfrobust import kinds, losses
from tfrobust.assertions import require
from tfrobust.backend import Schedule
from tfrobust.types import TensorLike


def kind(value: Any, expected: type, name: str, example: str) -> None:
    """Refuses an argument that isn't of the expected class."""
    if not isinstance(value, expected):
        article = "an" if re.match(r"[AEIOU]|L\d", expected.__name__) else "a"
        raise TypeError(
            f"`{name}` must be {article} {expected.__name__}, such as "
            f"{example}. Received: {name}={shown(value)}"
        )


def number(
    value: Any, name: str, low: float = -math.inf, high: float = math.inf
) -> None:
    """Refuses an argument that is no finite number in `[low, high]`."""
    expected = (
        "be finite" if low == -math.inf else f"be at least {low} and finite"
    )
    if high < math.inf:
        expected = f"lie in [{low}, {high}]"
    fine = _finite(value) and low <= value <= high
    argument(fine, name, expected, shown(value))


def positive(value: Any, name: str, high: float = math.inf) -> None:
    """Refuses an argument that is no finite number in `(0, high]`."""
    expected = "be positive and finite"
    if high < math.inf:
        expected = f"lie in (0, {high}]"
    argument(_finite(value) and 0 < value <= high, name, expected, shown(value))


def _finite(value):
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and math.isfinite(value)


def finite(**arguments: Any) -> None:
    """Refuses arguments that are no finite numbers, given by name."""
    for name, value in arguments.items():
        number(value, name)


def amount(
    value: Any, name: str, low: float = -math.inf, high: float = math.inf
) -> None:
    """As `number`, of what may be a schedule or, once resolved, a tensor."""
    if not isinstance(value, (Schedule, tf.Tensor, tf.Variable)):
        number(value, name, low, high)


def count(value: Any, name: str, least: int = 1) -> None:
    """Refuses an argument that is no whole number of at least `least`."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    expected = f"be at least {least} and whole"
    argument(whole and value >= least, name, expected, shown(value))


def argument(condition: bool, name: str, expected: str, received: Any) -> None:
    """Refuses an argument of a constructor unless the condition holds.

    Args:
        condition: Whether it is as expected.
        name: Its name.
        expected: What it must be.
        received: The value, or the text that shows it.
    """
    if not condition:
        received = received if isinstance(received, str) else shown(received)
        raise ValueError(
            f"`{name}` must {expected}. Received: {name}={received}"
        )


def shown(value: Any) -> str:
    """A value as a sentence shows it, on one line: an array by its shape."""
    shape = getattr(value, "shape", ())
    if isinstance(shape, (tuple, tf.TensorShape)) and len(shape):
        return f"{type(value).__name__} of shape {tuple(shape)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 200 else f"{text[:200]}..."


def inputs(
    x: TensorLike, low: Any, high: Any, tolerance: float = 1e-6
) -> tf.Tensor:
    """Returns x as float32 after checking that it lies in `[low, high]`."""
    x = kinds.tensor(x)
    # Variables, too, which are no arrays inside of a graph.
    if any(len(getattr(end, "shape", ())) for end in (low, high)):
        for name, end in {"low": low, "high": high}.items():
            _fits_features(end, x, name)
        return _in_ranges(x, low, high, tolerance)
    ends = smallest, largest = tf.reduce_min(x), tf.reduce_max(x)
    fine = (smallest >= low - tolerance) & (largest <= high + tolerance)
    # Not every device's minimum is NaN where a value is, but every sum is.
    fine &= ~tf.math.is_nan(tf.reduce_sum(x))
    images = "Scale images to it (x / 255.0 for bytes); normalisation must be "
    mend = images + "a layer inside the model."
    if x.shape.rank == 2:
        mend = "Pass the range of your features, as tfr.threats.Box(radius, low"
        mend += "=x.min(axis=0), high=x.max(axis=0)), or scale them to it."
    return require(
        fine,
        f"`x` must lie in the threat's valid range [{low}, {high}] and hold no "
        f"NaN. {mend} Received minimum and maximum",
        x,
        ends,
    )


def _fits_features(end, x, name):
    """Refuses an end of a range that doesn't broadcast against x."""
    sizes = tuple(x.shape[1:])
    expected = f"be one number, or one for each feature of x, {sizes}"
    fits = broadcasts(getattr(end, "shape", ()), x.shape)
    argument(fits, name, expected, end)


def broadcasts(shape: Any, target: Any) -> bool:
    """Whether a value of `shape` broadcasts against x of shape `target`."""
    pairs = zip(reversed(list(shape)), reversed(list(target)), strict=False)
    return len(shape) <= len(target) and all(
        a in (1, None, b) or b is None for a, b in pairs
    )


def _in_ranges(x, low, high, tolerance):
    """The same of features that have ranges of their own."""
    below, above = tf.reduce_max(low - x), tf.reduce_max(x - high)
    fine = tf.reduce_all((x >= low - tolerance) & (x <= high + tolerance))
    return require(
        fine,
        "`x` must lie in the threat's valid range of each feature and hold no "
        "NaN. Widen `low` and `high`, or leave these examples out. Received, "
        "how far beyond the lower and the upper ends",
        x,
        (below, above),
    )


def fits(shape: tuple, model: Any) -> None:
    """Refuses inputs of another shape than the model was built for.

    Args:
        shape: Shape of one input. A last axis of length 1 may be missing or too
            much, as in Keras.
        model: A model; one that knows no shape of one input takes any.
    """
    built = getattr(model, "input_shape", None)
    sizes = built[1:] if isinstance(built, tuple) else ()
    if not sizes or not all(n is None or isinstance(n, int) for n in sizes):
        return
    wanted, given = tf.TensorShape(sizes), tf.TensorShape(shape)
    if given.rank is None:
        return
    ends = (wanted, given), (wanted, [*given, 1]), ([*wanted, 1], given)
    if not any(tf.TensorShape(a).is_compatible_with(b) for a, b in ends):
        built, came = (
            ", ".join(["batch", *map(str, s)]) for s in (sizes, shape)
        )
        mend = "Put an axis of examples in front, x[np.newaxis] of a single "
        mend += "one. A dataset must come in batches: dataset.batch(64)."
        if given.rank == wanted.rank:
            mend = "Pass inputs of the sizes that it was trained with."
        raise ValueError(
            "`x` must have the shape that the model was built for, "
            f"[{built}]. Received shape [{came}]. {mend}"
        )


def labels(y: TensorLike, logits: Any) -> tf.Tensor:
    """Returns class labels as int32 `[batch]` after checking their range.

    Args:
        y: Class labels, shape `[batch]`.
        logits: What has the shape of the logits, `[batch, classes]`: they
            themselves, or a `tf.TensorSpec`.
    """
    argument(y is not None, "y", "hold a label for each example", y)
    y, shape = tf.convert_to_tensor(y), tf.TensorShape(logits.shape)
    if y.dtype == tf.string:
        raise ValueError(
            "`y` must hold class labels that are numbers. Received dtype "
            "string. Number the classes: np.unique(y, return_inverse=True)[1]."
        )
    if y.shape.rank == 0:
        raise ValueError(
            "`y` must hold a label for each example. Received one alone. A "
            "tf.data.Dataset must come in batches: dataset.batch(64)."
        )
    if y.dtype == tf.bool:
        y = tf.cast(y, tf.int32)
    whole = losses.whole_labels(y, shape)
    if not whole.shape.is_compatible_with(shape[:1]):
        raise ValueError(
            "`x` and `y` must have the same length. Received: "
            f"{shape[0]} inputs and {whole.shape[0]} labels."
        )
    fine = (whole >= 0) & (whole < shape[-1])
    fine &= tf.cast(whole, y.dtype) == tf.reshape(y, [-1])
    return require(
        tf.reduce_all(fine),
        "`y` must hold whole class labels from 0 to "
        f"{shape[-1] - 1}. Received minimum and maximum",
        whole,
        (tf.reduce_min(y), tf.reduce_max(y)),
    )


def positions(index: TensorLike, size: int) -> tf.Tensor:
    """Returns positions as int32 `[batch]`, once distinct and below `size`."""
    index = tf.convert_to_tensor(index)
    if not index.dtype.is_integer or index.shape.rank != 1:
        raise ValueError(
            "`index` must be whole numbers, one for each input, shape "
            f"[batch]. Received dtype {index.dtype.name} and shape "
            f"{tuple(index.shape)}. Pass np.arange(len(x))."
        )
    ends = smallest, largest = tf.reduce_min(index), tf.reduce_max(index)
    fine = tf.size(tf.unique(index)[0]) == tf.size(index)
    # Of no examples the minimum is the largest number.
    fine &= (tf.size(index) == 0) | ((smallest >= 0) & (largest < size))
    return require(
        fine,
        "`index` must hold distinct positions in the training data, from 0 "
        f"to {size - 1}. Received minimum and maximum",
        tf.cast(index, tf.int32),
        ends,
    )
