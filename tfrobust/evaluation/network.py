"""Whatever can be evaluated, as a callable of logits."""

import contextlib
import pathlib
from collections.abc import Sequence

import tensorflow as tf

from tfrobust import checks, gradients, hoisting
from tfrobust.averaging import network_of
from tfrobust.evaluation.litert import LiteRT
from tfrobust.evaluation.served import Served
from tfrobust.graph.purity import writes
from tfrobust.tracing import compiled
from tfrobust.two_logits import two_logits
from tfrobust.types import Model, TensorLike


def callable_of(model):
    """Returns a context that gives a callable of logits.

    Args:
        model: A `RobustModel`, whose averaged weights hold in the context; the
            folder of a SavedModel or the path of a .tflite file; or any
            callable, which is given.

    Raises:
        FileNotFoundError: If there is nothing at a path.
        TypeError: If it is neither a callable nor a path.
        ValueError: If the path is that of a Keras file.
    """
    if not isinstance(model, (str, pathlib.Path)):
        if not callable(model) or isinstance(model, type):
            raise TypeError(
                "`model` must be a callable of logits, such as a Keras model, "
                "or the path of a SavedModel's folder or a .tflite file. "
                f"Received: {checks.shown(model)}"
            )
        return network_of(model)
    path = pathlib.Path(model)
    if not path.exists():
        raise FileNotFoundError(
            "`model` must be a model, a SavedModel's folder or a .tflite "
            f"file. Received: {model}, where there is nothing."
        )
    if path.suffix in (".keras", ".h5"):
        raise ValueError(
            "`model` must be a model, a SavedModel's folder or a .tflite "
            f"file. Received: {model}. Load it with keras.models.load_model, "
            "and pass what that returns."
        )
    reader = LiteRT if path.suffix == ".tflite" else Served
    return contextlib.nullcontext(reader(path))


class Network:
    """A model whose Python runs once, whoever calls it.

    It becomes one op of the graphs of attacks and verifiers, unless those must
    see more of it: what a layer works out once for a whole attack (see
    `hoisting`), functions that the model calls itself, and variables that it
    writes, such as a mask that it applies to its weights. One logit of two
    classes becomes two.

    Args:
        model: Any callable `model(x, training=False) -> logits`.
        shape: Shape of one input.

    Attributes:
        varies: Whether it changes from one input to the next, as `Clauses` do.
    """

    def __init__(self, model: Model, shape: Sequence[int]) -> None:
        checks.fits(tuple(shape), model)
        self._model, self._hoists = model, False
        self.varies = getattr(model, "varies", False)
        self._function = compiled(self._logits, tf.TensorSpec([None, *shape]))
        graph = self._function.get_concrete_function().graph
        operations = graph.get_operations()
        self._is_op = not self._hoists and not any(
            writes(op) or any(a.type == "func" for a in op.op_def.attr)
            for op in operations
        )

    def __call__(self, x: TensorLike, training: bool = False) -> tf.Tensor:
        if self._is_op or tf.executing_eagerly():
            return self._function(x)
        return two_logits(self._model(x, training=training))

    def _logits(self, x):
        with hoisting.fixed_weights() as kept, gradients.fast():
            logits = self._model(x, training=False)
        if not tf.is_tensor(logits):
            raise TypeError(
                "`model` must return one tensor of logits. Received: "
                f"{type(logits).__name__}. Name one of its outputs: pass "
                "tfr.Joined(model, output=name)."
            )
        self._hoists = bool(kept.values)
        return two_logits(logits)
