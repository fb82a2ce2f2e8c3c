"""What every layer with a hidden kernel shares."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import AS_STORED, keras

Pair: TypeAlias = int | tuple[int, int]  # Height and width.
_Class = TypeVar("_Class", bound=type)


class HiddenKernel(keras.layers.Layer):
    """A layer that works its kernel out from other weights; abstract.

    Its form says what is done with a kernel, `DenseForm` for one; its rule
    says where the kernel comes from, `SparseBinary` for one. A final layer
    inherits from a form and a rule. There is no bias.

    Args:
        activation: Applied to the outputs; a name or a function.
        name: Of the layer, as in Keras.
        dtype: As in Keras, also a policy of mixed precision.
        trainable: Whether `fit` changes the weights.
        **kwargs: Others of every Keras layer.
    """

    def __init__(
        self,
        activation: str | Callable | None = None,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
        **kwargs,
    ):
        super().__init__(name=name, dtype=dtype, trainable=trainable, **kwargs)
        self.activation = keras.activations.get(activation)

    @property
    def kernel(self) -> tf.Tensor:
        """The kernel that inference applies, float32."""
        return self._effective_kernel(training=False)

    def plain(self) -> keras.layers.Layer:
        """Returns the stock Keras layer that this one equals, weights set."""
        layer = self._stock(
            activation=self.activation,
            use_bias=False,
            name=self.name,
            dtype=self.get_config()["dtype"],
            trainable=self.trainable,
        )
        kernel = self.kernel.numpy()
        # Of the shape of the inputs, layers need the channels alone.
        layer.build((*[None] * (kernel.ndim - 1), kernel.shape[-2]))
        layer.set_weights([kernel])
        return layer

    def call(self, inputs: tf.Tensor, training: Any = False) -> tf.Tensor:
        kernel = self._effective_kernel(training)
        kernel = tf.cast(kernel, self.compute_dtype)
        return self.activation(self._apply_kernel(inputs, kernel))

    def get_config(self) -> dict[str, Any]:
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "activation": activation}

    def _channels(self, input_shape, rank=None):
        """The number of channels of the inputs, after checking their shape."""
        shape = tuple(input_shape)
        axes = f"{rank} axes" if rank else "at least 2 axes"
        fine = len(shape) == rank if rank else len(shape) >= 2
        checks.argument(
            fine and shape[-1] is not None,
            "inputs",
            f"have {axes} and a known number of channels",
            shape,
        )
        return shape[-1]

    def _add_float32(self, name, shape, **options):
        # Mixed precision would round what the kernel is worked out from.
        return self.add_weight(
            name=name, shape=shape, dtype="float32", **AS_STORED, **options
        )

    def _add_kernel(self, shape, fan_in):
        """The rule adds the weights that the kernel is worked out from."""
        raise NotImplementedError

    def _effective_kernel(self, training):
        """The rule works out the kernel, float32."""
        raise NotImplementedError

    def _apply_kernel(self, inputs, kernel):
        """The form applies the kernel."""
        raise NotImplementedError

    def _stock(self, **options):
        """The form's stock layer."""
        raise NotImplementedError


def shows_arguments(layer: _Class) -> _Class:
    """A decorator: the constructor shows what it passes on as `**kwargs`."""
    constructor = layer.__init__  # type: ignore[misc]
    own = layer.__mro__[: layer.__mro__.index(HiddenKernel) + 1]
    first, *others = (
        inspect.signature(vars(base)["__init__"]).parameters.values()
        for base in own
        if "__init__" in vars(base)
    )
    *positional, rest = first
    keywords = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameters in others
        for parameter in [*parameters][1:-1]
    ]

    @functools.wraps(constructor)
    def __init__(self, *args, **kwargs):
        constructor(self, *args, **kwargs)

    shown = inspect.Signature([*positional, *keywords, rest])
    __init__.__signature__ = shown  # type: ignore[attr-defined]
    layer.__init__ = __init__  # type: ignore[misc]
    return layer


def regularizer(identifier: Any, name: str) -> Callable | None:
    """The regularizer that Keras finds, which may be None."""
    found = keras.regularizers.get(identifier)
    # tf_keras gives back what it doesn't know.
    fine = found is None or callable(found)
    checks.argument(fine, name, "be a Keras regularizer", repr(identifier))
    return found
