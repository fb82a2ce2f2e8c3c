"""Values of an ONNX graph that is run in TensorFlow."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf


class Value(NamedTuple):
    """A value that depends on the network's input.

    Attributes:
        tensor: Shape `[batch, ...]`, where ONNX has a first axis of 1.
        last: Whether channels come last in it, as TensorFlow has them.
    """

    tensor: tf.Tensor
    last: bool = False

    @property
    def shape(self) -> list[int]:
        """Its shape in ONNX, of one example."""
        lengths = self.tensor.shape.as_list()[1:]
        if self.last:
            lengths = [lengths[-1], *lengths[:-1]]
        return [1, *lengths]

    def first(self) -> tf.Tensor:
        """The tensor with channels first, as ONNX has it."""
        rank = self.tensor.shape.rank
        order = [0, rank - 1, *range(1, rank - 1)]
        return tf.transpose(self.tensor, order) if self.last else self.tensor

    def image(self) -> tf.Tensor:
        """The tensor with channels last."""
        rank = self.tensor.shape.rank
        order = [0, *range(2, rank), 1]
        return self.tensor if self.last else tf.transpose(self.tensor, order)

    def axis(self, number: int) -> int:
        """An axis that isn't the first, counted from the front."""
        rank = len(self.shape)
        axis = int(number) + rank if number < 0 else int(number)
        if not 0 < axis < rank:
            raise Unreadable(f"axis {number}, that of the batch")
        return axis


class Unreadable(Exception):
    """What an op is asked to do that isn't known."""


class Call:
    """One node, and what of it nobody has read yet.

    Args:
        inputs: Values and arrays; None where an input is left out.
        attributes: Its attributes, texts decoded.
        outputs: How many outputs it has.
    """

    def __init__(
        self, inputs: list[Any], attributes: dict[str, Any], outputs: int
    ) -> None:
        self.outputs = outputs
        self._inputs, self._attributes = inputs, attributes
        given = (k for k, value in enumerate(inputs) if value is not None)
        self._left: set[Any] = {*given, *attributes}

    @property
    def inputs(self) -> list[Any]:
        """All its inputs, values and arrays."""
        self._left -= {*range(len(self._inputs))}
        return self._inputs

    @property
    def x(self) -> Value:
        """The first input, which must depend on the network's."""
        self._left.discard(0)
        if not self._inputs or not isinstance(self._inputs[0], Value):
            raise Unreadable("a constant in place of its first input")
        return self._inputs[0]

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute, or what stands for one that is left out."""
        self._left.discard(name)
        return self._attributes.get(name, default)

    def constant(self, place: int, name: str = "", default: Any = None) -> Any:
        """An input that is a constant, or the attribute of its name."""
        if place < len(self._inputs) and self._inputs[place] is not None:
            self._left.discard(place)
            given = self._inputs[place]
            if isinstance(given, Value):
                raise Unreadable(f"an input {place} that isn't constant")
            return np.asarray(given)
        return self.attribute(name, default)

    def only(self, **expected: Any) -> None:
        """Refuses other values of some attributes than those given."""
        for name, value in expected.items():
            given = self.attribute(name, value)
            if given != value:
                raise Unreadable(f"{name}={given}")

    def axes(self, place: int = 1) -> list[int]:
        """The axes that it works on, none of which is the first."""
        given = self.constant(place, "axes")
        if given is None or not np.size(given):
            raise Unreadable("no axes")
        return [self.x.axis(axis) for axis in np.ravel(given)]

    def finish(self) -> None:
        """Refuses attributes and inputs that nobody has read."""
        for left in sorted(map(str, self._left)):
            kind = "input" if left.isdigit() else "attribute"
            raise Unreadable(f"the {kind} {left}")


def against(value: Value, constant: np.ndarray) -> tf.Tensor:
    """A constant that broadcasts against a value, in its order of axes."""
    constant = np.asarray(constant, np.float32)
    rank = len(value.shape)
    if constant.ndim > rank or (constant.ndim == rank and len(constant) != 1):
        raise Unreadable(f"a constant of the shape {constant.shape}")
    if value.last and constant.ndim:
        lead = [1] * (rank - constant.ndim)
        constant = constant.reshape([*lead, *constant.shape])
        constant = np.moveaxis(constant, 1, -1)
    return tf.constant(constant)
