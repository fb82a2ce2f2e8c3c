"""Values of several shapes as the columns of one row."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import keras, register

# Whole numbers up to here are float32 numbers too.
_EXACT = 2**24


@register
class Part(keras.layers.Layer):
    """Some columns of a row, in a shape and a type of their own.

    Args:
        begin: The first column.
        shape: Shape of what they hold, without the batch.
        kind: Name of its type.
    """

    def __init__(self, begin: int, shape: Any, kind: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.begin, self.shape_of_one = begin, tuple(shape)
        self.kind = kind

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        end = self.begin + int(np.prod(self.shape_of_one))
        part = tf.reshape(inputs[:, self.begin : end], [-1, *self.shape_of_one])
        return part if part.dtype == self.kind else tf.cast(part, self.kind)

    def get_config(self) -> dict[str, Any]:
        own = {"begin": self.begin, "shape": self.shape_of_one}
        return {**super().get_config(), **own, "kind": self.kind}


def shapes(given):
    """Shapes and types of a network's inputs, once they are known."""
    flat = tf.nest.flatten(given)
    found = [tuple(tensor.shape[1:]) for tensor in flat]
    fixed = all(None not in shape for shape in found)
    checks.argument(fixed, "network", "have inputs of known shapes", found)
    return found, [tf.as_dtype(tensor.dtype).name for tensor in flat]


def names(given, outputs=False):
    """Names in the order of `tf.nest.flatten`, each once."""
    if isinstance(given, dict):
        return _apart([k for k in sorted(given) for _ in _flat(given[k])])
    flat = _flat(given)
    if outputs:
        return _apart([tensor._keras_history[0].name for tensor in flat])
    return _apart([tensor.name.split(":")[0] for tensor in flat])


def _flat(given):
    return tf.nest.flatten(given)


def _apart(given):
    """Equal names with numbers: the first is kept, then come _1, _2, ..."""
    found: list[str] = []
    for name in given:
        free = (f"{name}_{k}" for k in itertools.count(1))
        if name in found:
            name = next(n for n in free if n not in (*given, *found))
        found.append(name)
    return found


def chosen(network, outputs, output):
    """The output to keep, or all in a row; and the shapes by name."""
    flat = tf.nest.flatten(outputs)
    named = dict(zip(names(network.output, outputs=True), flat, strict=True))
    if output is not None:
        fits = output in named
        checks.argument(fits, "output", f"be one of {[*named]}", output)
        named = {output: named[output]}
    shapes = {n: tuple(tensor.shape[1:]) for n, tensor in named.items()}
    if len(named) == 1:
        return next(iter(named.values())), shapes
    rows = [
        tensor if len(tensor.shape) == 2 else keras.layers.Flatten()(tensor)
        for tensor in named.values()
    ]
    return keras.layers.Concatenate(name="outputs")(rows), shapes


def joined(inputs, shapes, named):
    """The inputs of a network, by name or, unless `named`, listed, in a row."""
    listed = isinstance(inputs, (list, tuple)) and not named
    if listed and len(inputs) == len(shapes):
        inputs = dict(zip(shapes, inputs, strict=True))
    same = isinstance(inputs, Mapping) and set(inputs) == set(shapes)
    shown = [*inputs] if isinstance(inputs, Mapping) else type(inputs).__name__
    checks.argument(same, "inputs", f"be those named {[*shapes]}", shown)
    for name, shape in shapes.items():
        found = tf.TensorShape(np.shape(inputs[name]))
        # As in Keras, a last axis of length 1 may be missing.
        short = shape[:-1] if shape[-1:] == (1,) else shape
        fits = any(found.is_compatible_with([None, *s]) for s in (shape, short))
        expected = f"have shape [batch, {', '.join(map(str, shape))}]"
        checks.argument(fits, f"inputs[{name!r}]", expected, str(found))
    return row({name: inputs[name] for name in shapes}, "inputs")


def row(parts, argument):
    """Arrays, or tensors, by name beside each other, float32.

    Args:
        parts: The arrays or tensors, as equally long as each other.
        argument: What the user calls them.
    """
    lengths = {name: _length(part) for name, part in parts.items()}
    same = len({n for n in lengths.values() if n is not None}) <= 1
    checks.argument(same, argument, "be equally long", f"lengths {lengths}")
    parts = [*parts.values()]
    if any(tf.is_tensor(part) for part in parts):
        parts = [tf.cast(part, tf.float32) for part in parts]
        sizes = [int(np.prod(part.shape[1:], dtype=int)) for part in parts]
        pairs = zip(parts, sizes, strict=True)
        return tf.concat([tf.reshape(p, [-1, n]) for p, n in pairs], axis=1)
    for part in map(np.asarray, parts):
        whole = part.dtype.kind in "iu" and np.size(part)
        exact = not whole or int(np.max(np.abs(part))) <= _EXACT
        expected = f"hold whole numbers up to {_EXACT}"
        checks.argument(exact, argument, expected, part)
    rows = [np.reshape(part, [len(part), -1]) for part in parts]
    return np.concatenate(rows, axis=1).astype(np.float32)


def _length(part):
    """The number of examples; None where it isn't known yet."""
    shape = tf.TensorShape(np.shape(part))
    if shape.rank is None:
        return None
    return shape[0] if shape.rank else "of a single number"


def spread(threat, shape, name):
    """Radius, ends and mask of one input as rows; zeros where it stays."""
    size = int(np.prod(shape))
    if threat is None:
        wide = np.full(size, np.inf)
        return np.zeros(size), -wide, wide, np.zeros(size)
    epsilon = 0.0 if threat.schedules() else threat.epsilon
    mask = 1.0 if threat.mask is None else threat.mask
    values = epsilon, threat.low, threat.high, mask
    rows = []
    for value in map(np.asarray, values):
        try:
            rows.append(np.broadcast_to(value, (1, *shape)).reshape(-1))
        except ValueError:
            raise ValueError(
                f"`threats[{name!r}]` must hold numbers, or arrays that fit "
                f"its input, of shape {tuple(shape)}, the same for all "
                f"examples. Received one of shape {value.shape}."
            ) from None
    return rows
