"""What every layer with a hidden kernel shares."""

import tensorflow as tf

from tfrobust.backend import AS_STORED, keras


class HiddenKernel(keras.layers.Layer):
    """A layer that works its kernel out from other weights; abstract.

    Its form says what is done with a kernel, `DenseForm` for one; its rule
    says where the kernel comes from, `SparseBinary` for one. A final layer
    inherits from a form and a rule. There is no bias.

    Args:
        activation: Applied to the outputs; a name or a function.
        **kwargs: Of every Keras layer: `name`, `dtype`, `trainable`.
    """

    def __init__(self, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)

    @property
    def kernel(self):
        """The kernel that inference applies, float32."""
        return self._effective_kernel(training=False)

    def plain(self):
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

    def call(self, inputs, training=False):
        kernel = self._effective_kernel(training)
        kernel = tf.cast(kernel, self.compute_dtype)
        return self.activation(self._apply_kernel(inputs, kernel))

    def get_config(self):
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "activation": activation}

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
