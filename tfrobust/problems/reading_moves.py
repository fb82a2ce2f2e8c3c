"""ONNX ops that move values around."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust.problems.reading_values import Call, Unreadable, Value


def reshaped(value: Value, shape: list[int]) -> Value:
    """A value in another shape, of which the first axis is the batch's."""
    if len(shape) < 1 or shape[0] != 1:
        raise Unreadable(f"the shape {shape}: the first axis isn't 1")
    if math.prod(shape) != math.prod(value.shape):
        raise Unreadable(f"the shape {shape} for one of {value.shape}")
    return Value(tf.reshape(value.first(), [-1, *shape[1:]]))


def reshape(call: Call) -> Any:
    """Another shape, whose first axis stays."""
    given = [int(n) for n in np.ravel(call.constant(1, "shape"))]
    call.only(allowzero=0)
    old = call.x.shape
    shape = [old[k] if n == 0 else n for k, n in enumerate(given)]
    if -1 in shape:
        known = -math.prod(shape)
        shape[shape.index(-1)] = math.prod(old) // known
    return reshaped(call.x, shape)


def flatten(call: Call) -> Any:
    """One axis of all but the first."""
    axis = call.attribute("axis", 1)
    if axis != 1:
        raise Unreadable(f"axis={axis}")
    return reshaped(call.x, [1, math.prod(call.x.shape[1:])])


def transpose(call: Call) -> Any:
    """Axes in another order."""
    order = call.attribute("perm", [*range(len(call.x.shape))][::-1])
    if order[0] != 0:
        raise Unreadable(f"perm={order}, which moves the batch")
    return Value(tf.transpose(call.x.first(), order))


def squeeze(call: Call) -> Any:
    """Without axes of length 1."""
    axes = call.axes()
    lengths = enumerate(call.x.shape)
    return reshaped(call.x, [n for axis, n in lengths if axis not in axes])


def unsqueeze(call: Call) -> Any:
    """With more axes of length 1."""
    given = np.ravel(call.constant(1, "axes"))
    rank = len(call.x.shape) + len(given)
    axes = {int(axis) % rank for axis in given}
    if 0 in axes:
        raise Unreadable("axis 0, that of the batch")
    if len(axes) < len(given) or not all(-rank <= a < rank for a in given):
        raise Unreadable(f"axes={given.tolist()}")
    rest = iter(call.x.shape)
    return reshaped(
        call.x, [1 if axis in axes else next(rest) for axis in range(rank)]
    )


def concat(call: Call) -> Any:
    """Values one after the other."""
    values = [given for given in call.inputs if isinstance(given, Value)]
    axis = values[0].axis(call.attribute("axis"))
    last = all(value.last for value in values)
    if last:
        axis = axis - 1 if axis > 1 else len(values[0].shape) - 1
    if len(values) < len(call.inputs):
        raise Unreadable("a constant among its inputs")
    parts = [v.tensor if last else v.first() for v in values]
    return Value(tf.concat(parts, axis), last)


def part(call: Call) -> Any:
    """A part of each axis."""
    starts = np.ravel(call.constant(1, "starts"))
    ends = np.ravel(call.constant(2, "ends"))
    axes = np.ravel(call.constant(3, "axes", np.arange(len(starts))))
    steps = np.ravel(call.constant(4, "steps", np.ones(len(starts), int)))
    found = [slice(None)] * len(call.x.shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step < 1:
            raise Unreadable(f"steps={step}")
        axis = call.x.axis(axis)
        length = call.x.shape[axis]
        found[axis] = slice(
            *slice(int(start), int(end), int(step)).indices(length)
        )
    return Value(call.x.first()[tuple(found)])


def gather(call: Call) -> Any:
    """Some places of an axis."""
    axis = call.x.axis(call.attribute("axis", 0))
    index = call.constant(1).astype(int)
    length, tensor = call.x.shape[axis], call.x.first()
    index = np.where(index < 0, index + length, index)
    if index.ndim > 1 or not index.size:
        raise Unreadable(f"indices of the shape {index.shape}")
    if np.any((index < 0) | (index >= length)):
        raise Unreadable(f"indices beyond the {length} of their axis")
    # Slices, which every verifier has a rule for.
    lead = (slice(None),) * axis
    parts = [
        tensor[(*lead, slice(int(k), int(k) + 1))] for k in np.ravel(index)
    ]
    made = tf.concat(parts, axis) if len(parts) > 1 else parts[0]
    return Value(tf.squeeze(made, axis) if index.ndim == 0 else made)


def pad(call: Call) -> Any:
    """Constants around a value."""
    call.only(mode="constant")
    pads = np.reshape(call.constant(1, "pads"), [2, -1]).T
    value = call.constant(2, "value", 0.0)
    if np.any(pads[0]) or np.any(pads < 0) or call.constant(3) is not None:
        raise Unreadable(f"pads={pads.tolist()}")
    constant = float(np.ravel(value)[0])
    return Value(tf.pad(call.x.first(), pads, constant_values=constant))


def split(call: Call) -> Any:
    """Parts of an axis, a list."""
    axis, count = call.x.axis(call.attribute("axis", 0)), call.outputs
    given, length = call.constant(1, "split"), call.x.shape[axis]
    # Only where their number is an attribute may the last one be smaller.
    number = call.attribute("num_outputs")
    each = length // count if number is None else -(-length // count)
    sizes = [each] * (count - 1) + [length - each * (count - 1)]
    if given is not None:
        sizes = np.ravel(given).tolist()
    equal = given is not None or number is not None or sizes[-1] == each
    if sum(sizes) != length or min(sizes) < 0 or not equal:
        raise Unreadable(f"parts of {sizes} for an axis of {length}")
    if len(sizes) != count or number not in (None, count):
        raise Unreadable(f"{count} outputs for parts of {sizes}")
    uneven = given is not None or sizes[-1] != each
    parts = tf.split(call.x.first(), sizes if uneven else count, axis)
    return [Value(part) for part in parts]


def shape(call: Call) -> Any:
    """The shape of one example, or a part of it, a constant."""
    lengths = np.array(call.x.shape, np.int64)
    # Python counts and clamps both ends as ONNX does.
    return lengths[call.attribute("start", 0) : call.attribute("end")]


def cast(call: Call) -> Any:
    """Numbers stay float32."""
    # It is about types of 8 bits.
    call.attribute("saturate")
    if call.attribute("to") != 1:
        raise Unreadable("a cast to another type than float32")
    return call.x
