"""Networks whose float32 has little to do with their real numbers.

What is certified of them must hold in float64, and in float32 in whatever
order sums are taken: of inputs, of hidden units, with the bias first or last.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tests.bounds.fuzzed import sets
from tests.bounds.fuzzed.families import CURVES, FAMILIES
from tests.bounds.fuzzed.truth import Truth

ORDERS = 6


class Spec(NamedTuple):
    shape: tuple
    classes: int
    seed: int
    family: str


class Rounded:
    """A chain of dense layers, shifts, factors and curves of one family.

    Args:
        seed: What it follows from.
        family: One of `FAMILIES`; drawn by default.
    """

    affine = False

    def __init__(self, seed, family=None):
        rng = np.random.default_rng([seed, 5])
        family = family or list(FAMILIES)[rng.integers(len(FAMILIES))]
        self.chain = FAMILIES[family](rng)
        first = next(step[1] for step in self.chain if step[0] == "dense")
        last = [step[1] for step in self.chain if step[0] == "dense"][-1]
        self.spec = Spec((first.shape[0],), last.shape[1], seed, family)
        self.taken = [(family, seed)]

    def __call__(self, x, training=False):
        for kind, *values in self.chain:
            values = [tf.constant(v, x.dtype) for v in values]
            if kind == "dense":
                x = tf.matmul(x, values[0])
                x = tf.nn.bias_add(x, values[1])
            elif kind == "shift":
                x = x + values[0]
            elif kind == "factor":
                x = x * values[0]
            elif kind == "sum":  # Around a shortcut.
                x = x + (values[0] - x)
            elif kind == "total":
                x = tf.stack([tf.reduce_sum(x, -1), tf.reduce_mean(x, -1)], -1)
            else:
                x = CURVES[kind][0](x)
        return x

    def __str__(self):
        parts = [
            " ".join([kind, *(str(list(np.shape(v))) for v in values)])
            for kind, *values in self.chain
        ]
        return f"Rounded({self.spec.seed}, {self.spec.family!r}): " + ", ".join(
            parts
        )

    def in_some_order(self, x, rng):
        """Logits in float32, every sum in an order of its own."""
        x = x.astype(np.float32)
        for kind, *values in self.chain:
            if kind == "dense":
                matrix, bias = values
                terms = x[:, :, None] * matrix
                bias = np.broadcast_to(bias, (len(x), 1, len(bias)))
                terms = np.concatenate([terms, bias], 1)
                x = _summed(terms, rng)
            elif kind == "shift":
                x = x + values[0]
            elif kind == "factor":
                x = x * values[0]
            elif kind == "sum":
                x = x + (values[0] - x)
            elif kind == "total":
                total = _summed(x[:, :, None], rng)
                x = np.concatenate([total, total / x.shape[1]], 1)
            else:
                x = CURVES[kind][1](x)
            x = x.astype(np.float32)
        return x.astype(np.float64)


def _summed(terms, rng):
    """Sums along the second axis: in turn, or in blocks, in random order."""
    terms = terms[:, rng.permutation(terms.shape[1])]
    blocks = int(rng.choice([1, 2, 8]))
    parts = [
        np.cumsum(part, 1, dtype=np.float32)[:, -1:]
        for part in np.array_split(terms, blocks, 1)
        if part.shape[1]
    ]
    return np.cumsum(np.concatenate(parts, 1), 1, dtype=np.float32)[:, -1]


def problem(network):
    """The `Problem` of a network: its labels are what float64 gives."""
    seed = network.spec.seed
    rng = np.random.default_rng([seed, 6])
    found = sets.drawn(seed, network.spec.shape, network.spec.classes)
    x = found.x
    how = rng.integers(3)
    if how == 0:
        x = np.full_like(x, found.high)
    elif how == 1:
        x = (np.round(x * 4) / 4).astype(np.float32)
    y = np.argmax(network(tf.constant(x, tf.float64)), 1)
    return found._replace(x=x, y=y)


def truth(network, problem, seed):
    """The `Truth`, orders of summation included."""
    found = Truth(network, problem, seed)
    rng = np.random.default_rng([seed, 7])
    points = np.moveaxis(found.points, 1, 0)
    points = np.concatenate([points, problem.x[None]])
    flat = points.reshape(-1, points.shape[-1])
    for _ in range(ORDERS):
        with np.errstate(over="ignore", invalid="ignore"):
            logits = network.in_some_order(flat, rng)
        logits = logits.reshape(*points.shape[:2], -1)
        found._take(logits, points, "another order")
    return found
