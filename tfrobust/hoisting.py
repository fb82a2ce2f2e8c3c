"""Work done once, however often a network is called.

An attack calls a network many times and changes no weight. What a layer works
out from its weights, such as a mask, is then the same every time: under
`fixed_weights`, `once` does it before the loop of the attack instead of inside.
A training step calls it several times too: `at_first_call` keeps what a layer
knew when the step first called it. Nothing outlives the scope, so nothing can
go stale.
"""

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import tensorflow as tf

_active = threading.local()  # Replicas are traced in threads of their own.


@contextlib.contextmanager
def fixed_weights() -> Iterator["Kept"]:
    """A scope in which no weight changes; gives what is kept in it."""
    with _scope("weights") as kept:
        yield kept


@contextlib.contextmanager
def training_step() -> Iterator[None]:
    """A scope in which an optimizer steps once, at its end."""
    with _scope("step"):
        yield


def once(owner: Hashable, compute: Callable[[], tf.Tensor]) -> tf.Tensor:
    """Returns `compute()`, called once for each owner under `fixed_weights`.

    Args:
        owner: The layer that asks.
        compute: Function of the owner's weights alone that returns a tensor.
            No gradient flows through it.
    """
    scope = _entered("weights")
    if scope is None:
        return tf.stop_gradient(compute())
    return scope.value(owner, lambda: tf.stop_gradient(compute()))


def at_first_call(
    owner: Hashable, compute: Callable[[], tf.Tensor]
) -> tf.Tensor | None:
    """Returns `compute()` of the first call in this `training_step`.

    None outside one.
    """
    scope = _entered("step")
    return scope and scope.value(owner, lambda: tf.stop_gradient(compute()))


@contextlib.contextmanager
def _scope(kind):
    outer = getattr(_active, kind, None)
    kept = Kept()
    setattr(_active, kind, kept)
    try:
        yield kept
    finally:
        setattr(_active, kind, outer)


def _entered(kind):
    """The scope of this kind that is open and can be built in, or None."""
    scope = getattr(_active, kind, None)
    return scope if scope and scope.surrounds_the_current_graph() else None


class Kept:
    """Values worked out once, in the graph in which this was made."""

    def __init__(self) -> None:
        self.values: dict[Hashable, Any] = {}
        self.graph = _current_graph()

    def value(self, name: Hashable, compute: Callable[[], Any]) -> Any:
        """Returns `compute()`, called once for each name.

        In its own graph, also from inside a loop.
        """
        if name not in self.values:
            graph = self.graph
            with graph.as_default() if graph else contextlib.nullcontext():
                self.values[name] = compute()
        return self.values[name]

    def surrounds_the_current_graph(self) -> bool:
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
