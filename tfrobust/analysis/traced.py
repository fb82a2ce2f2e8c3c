"""Functions of a batch that are compiled at their first call."""

from collections.abc import Callable

import tensorflow as tf

from tfrobust.tracing import compiled


def traced(function: Callable, *signature: tf.TensorSpec) -> Callable:
    """Compiles a function once it is called.

    TensorFlow warns of a `tf.function` that is made again and again, as for
    each network that is analysed; not of the concrete one.

    Args:
        function: What to compile, of tensors.
        *signature: The `tf.TensorSpec` of every input.
    """
    made: list[Callable] = []

    def called(*tensors):
        if not made:
            made.append(compiled(function, *signature).get_concrete_function())
        return made[0](*tensors)

    return called
