"""Functions that are traced once, whatever calls them."""

import contextlib
import functools
from collections.abc import Callable, Iterator

import tensorflow as tf

# What TensorFlow does to a graph besides inlining what it calls. It takes as
# long as tracing, and what it gains a few examples never pay back.
_REWRITES = (
    "arithmetic_optimization",
    "constant_folding",
    "dependency_optimization",
    "implementation_selector",
    "layout_optimizer",
    "loop_optimization",
    "remapping",
    "shape_optimization",
)


def one_op(*signature: tf.TensorSpec) -> Callable:
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


def compiled(
    function: Callable, *signature: tf.TensorSpec
) -> tf.types.experimental.PolymorphicFunction:
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


@contextlib.contextmanager
def hardly_rewritten(few: bool = True) -> Iterator[None]:
    """A scope in which graphs run nearly as they were traced.

    A graph must always run in such a scope or never, or else it is prepared
    twice. What the user has switched on or off stays so.

    Args:
        few: Whether this does anything.
    """
    if not few:
        yield
        return
    chosen = tf.config.optimizer.get_experimental_options()
    names = [name for name in _REWRITES if name not in chosen]
    tf.config.optimizer.set_experimental_options(dict.fromkeys(names, False))
    try:
        yield
    finally:
        # None is what TensorFlow holds for what nobody has chosen.
        tf.config.optimizer.set_experimental_options(dict.fromkeys(names))
