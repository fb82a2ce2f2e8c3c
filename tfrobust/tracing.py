"""Functions that are traced once, whatever calls them."""

import functools

import tensorflow as tf


def one_op(*signature):
    """Makes a function one op of the graphs that call it.

    What many graphs have many times, and has a hundred ops, is traced once for
    all of them. Outside of graphs nothing is traced, since a compiled function
    that `tf.py_function` calls may wait for ever for the thread that waits for
    it.

    Args:
        *signature: The `tf.TensorSpec` of every input.
    """

    def decorate(function):
        traced = tf.function(
            function, autograph=False, input_signature=signature
        )

        @functools.wraps(function)
        def call(*inputs):
            eager = tf.executing_eagerly()
            return function(*inputs) if eager else traced(*inputs)

        return call

    return decorate


def compiled(function, *signature):
    """Compiles a function of tensors without AutoGraph.

    Args:
        function: What to compile.
        *signature: The `tf.TensorSpec` of every input, for one trace whatever
            comes; none for a trace of each shape.

    Returns:
        The `tf.function`.
    """
    return tf.function(
        function, input_signature=signature or None, autograph=False
    )
