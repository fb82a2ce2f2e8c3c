"""Work that depends on the weights alone, done once while they stand still.

An attack calls a network many times and changes no weight. What a layer works
out from its weights, such as a mask, is then the same every time: under
`fixed_weights`, `once` does it before the loop of the attack instead of inside.
Nothing outlives the scope, so nothing can go stale.
"""

import contextlib
import threading

import tensorflow as tf

_active = threading.local()  # Replicas are traced in threads of their own.


@contextlib.contextmanager
def fixed_weights():
    """A scope in which no weight changes."""
    outer = getattr(_active, "scope", None)
    _active.scope = _Scope()
    try:
        yield
    finally:
        _active.scope = outer


def once(owner, compute):
    """Returns `compute()`, called once for each owner under `fixed_weights`.

    Args:
        owner: The layer that asks.
        compute: Function of the owner's weights alone that returns a tensor.
            No gradient flows through it.
    """
    scope = getattr(_active, "scope", None)
    if scope is None or not scope.surrounds_the_current_graph():
        return tf.stop_gradient(compute())
    if owner not in scope.values:
        with scope.entered():
            scope.values[owner] = tf.stop_gradient(compute())
    return scope.values[owner]


class _Scope:
    def __init__(self):
        self.values = {}
        self.graph = _current_graph()

    def entered(self):
        """Builds in the graph of the scope, also from inside a loop."""
        if self.graph is None:
            return contextlib.nullcontext()
        return self.graph.as_default()

    def surrounds_the_current_graph(self):
        """Whether at most loops and branches lie in between.

        A tf.function in between keeps its graph for later calls, in which the
        weights may be others.
        """
        graph = _current_graph()
        while graph is not self.graph:
            if graph is None or type(graph) is tf.__internal__.FuncGraph:
                return False
            graph = getattr(graph, "outer_graph", None)
        return True


def _current_graph():
    if tf.executing_eagerly():
        return None
    return tf.compat.v1.get_default_graph()
