"""What of a network can be bounded, and what it will cost."""

import dataclasses
import functools
import numbers
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.averaging import on_network
from tfrobust.bounds.record import RULES, problem
from tfrobust.graph import Trace
from tfrobust.tracing import compiled
from tfrobust.verifier import Verifier
from tfrobust.verifiers.memory import bytes_of


@dataclasses.dataclass
class Coverage:
    """The ops of a network with their rules.

    Print it for a table.

    Attributes:
        rows: Name, op, shape and rule of every op that depends on the input;
            the rule is None where there is none.
        problems: One sentence for each op without a rule.
        neurons: Number of values that activations return for one example.
        bytes_per_example: Memory that bounding takes for each example of a
            batch, estimated from the largest tensors; None without a verifier.
        bound_one: Bounds a blank example; None without a verifier.
    """

    rows: list
    problems: list
    neurons: int
    bytes_per_example: int | None = None
    bound_one: Callable | None = None

    @property
    def complete(self):
        """Whether every op has a rule."""
        return not self.problems

    @functools.cached_property
    def seconds_per_example(self):
        """Time to bound one example alone, measured when it is asked for.

        None without a verifier.
        """
        if self.bound_one is None:
            return None
        self.bound_one()
        begin = time.perf_counter()
        np.asarray(self.bound_one())
        return time.perf_counter() - begin

    def __str__(self):
        lines = [
            f"{op:28}{str(shape):20}{rule or 'NO RULE':14}{name}"
            for name, op, shape, rule in self.rows
        ]
        lines.append(f"{self.neurons} neurons")
        if self.bytes_per_example is not None:
            lines.append(
                f"about {self.bytes_per_example / 2**20:.3g} MiB and "
                f"{self.seconds_per_example:.3g} s for each example"
            )
        return "\n".join(lines + self.problems)


@on_network
def coverage(model, verifier=None, shape=None):
    """Says, before any run, which ops of a network can be bounded.

    Args:
        model: Any callable `model(x, training=False) -> logits`.
        verifier: A verifier of traced networks, such as `CROWN`, whose memory
            and time to estimate; None for neither.
        shape: Shape of one input; None takes the model's `input_shape`.

    Returns:
        A `Coverage`.

    Raises:
        TypeError: If `verifier` is no verifier.
        ValueError: If the shape isn't known, or there are several inputs.

    Example:
        `print(tfr.verifiers.coverage(network))`
    """
    shape = tuple(shape or (getattr(model, "input_shape", None) or ())[1:])
    if verifier is not None:
        checks.kind(
            verifier, Verifier, "verifier", "tfr.verifiers.CROWN(threat)"
        )
    known = all(isinstance(length, numbers.Integral) for length in shape)
    if not (shape and known):
        raise ValueError(
            "`shape` must be the shape of one input, without the batch. "
            f"Received: {shape}. Pass it: coverage(model, shape=(28, 28, 1)). "
            "Of several inputs make one: tfr.Joined(network)."
        )
    nodes = []

    def traced(x):
        trace = Trace(model, x)
        nodes.extend([*trace.nodes[1:], *trace.measured])

    tf.function(traced, autograph=False).get_concrete_function(
        tf.TensorSpec([None, *shape])
    )
    rows, problems, neurons = [], [], 0
    for node in nodes:
        missing = problem(node)
        rule = None if missing else _named(RULES[node.type].rule)
        rows.append((node.name, node.type, node.shape, rule))
        problems += [missing] if missing else []
        neurons += 0 if missing or rule == "linear" else node.size
    found = Coverage(rows, problems, neurons)
    if verifier is not None and found.complete:
        margins = compiled(
            lambda x, y: verifier.margins(model, x, y),
            tf.TensorSpec([1, *shape]),
            tf.TensorSpec([1], tf.int64),
        )
        graph = margins.get_concrete_function().graph
        found.bytes_per_example = bytes_of(graph)
        found.bound_one = lambda: margins(
            tf.zeros([1, *shape]) + tf.cast(verifier.threat.low, tf.float32),
            tf.zeros([1], tf.int64),
        )
    return found


def _named(rule):
    return "linear" if rule.linear else type(rule).__name__.lower()
