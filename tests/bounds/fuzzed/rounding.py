"""Networks whose float32 has little to do with their real numbers.

What is certified of them must hold in float64, and in float32 in whatever
order sums are taken: of inputs, of hidden units, with the bias first or last.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tests.bounds.fuzzed import sets
from tests.bounds.fuzzed.truth import Truth

ORDERS = 6
_CURVES = {
    "relu": (tf.nn.relu, lambda z: np.maximum(z, 0)),
    "sign": (tf.sign, np.sign),
    "round": (tf.round, np.round),
    "floor": (tf.floor, np.floor),
    "tanh": (tf.tanh, np.tanh),
    "relu6": (tf.nn.relu6, lambda z: np.clip(z, 0, 6)),
    "leaky": (
        lambda z: tf.nn.leaky_relu(z, 0.25),
        lambda z: np.where(z > 0, z, z * z.dtype.type(0.25)),
    ),
    "clip": (
        lambda z: tf.minimum(tf.maximum(z, -0.5), 0.5),
        lambda z: np.clip(z, z.dtype.type(-0.5), z.dtype.type(0.5)),
    ),
}


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
                x = _CURVES[kind][0](x)
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
                x = _CURVES[kind][1](x)
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
    for _ in range(ORDERS):
        flat = points.reshape(-1, points.shape[-1])
        logits = network.in_some_order(flat, rng)
        logits = logits.reshape(*points.shape[:2], -1)
        found._take(logits, points, "another order")
    return found


def _dense(rng, n, m, scale=1.0, bias=0.1):
    matrix = scale * rng.normal(size=(n, m))
    return (
        "dense",
        matrix.astype(np.float32),
        (bias * rng.normal(size=m)).astype(np.float32),
    )


def _curve(rng):
    names = list(_CURVES)
    return (names[rng.integers(len(names))],)


def _huge_weights(rng):
    """Weights that cancel but for a 1, then a bias that decides."""
    size = np.float32(2.0 ** int(rng.integers(20, 27)))
    matrix = rng.choice([size, -size, 1.0, -1.0], (6, 4)).astype(np.float32)
    matrix[3:] = -matrix[:3]
    matrix[2] += 1
    bias = rng.choice([-0.5, 0.5, 0.0, -1.0], 4).astype(np.float32)
    return [("dense", matrix, bias), _curve(rng), _dense(rng, 4, 3)]


def _null_space(rng):
    """A second matrix, a thousand times the null space of the first."""
    first = rng.normal(size=(5, 8)).astype(np.float32)
    null = np.linalg.svd(first.astype(np.float64))[2][5:].T
    second = 1000 * null @ rng.normal(size=(3, 4))
    zeros = np.zeros(4, np.float32)
    return [
        ("dense", first, np.zeros(8, np.float32)),
        ("dense", second.astype(np.float32), zeros),
        _curve(rng),
        _dense(rng, 4, 3, 10),
    ]


def _far_and_back(rng):
    """A bias of millions, and a normalisation that takes it off."""
    far = np.float32(rng.choice([3e6, 1e7, 2.0**24]))
    _, matrix, bias = _dense(rng, 5, 6)
    scale = (rng.normal(size=6) * rng.choice([1.0, 100.0])).astype(np.float32)
    return [
        ("dense", matrix, bias + far),
        ("shift", np.full(6, -far, np.float32)),
        ("factor", scale),
        _curve(rng),
        _dense(rng, 6, 3),
    ]


def _wide(rng):
    """As many inputs as MNIST has."""
    return [_dense(rng, 784, 16), _curve(rng), _dense(rng, 16, 10)]


def _common(rng):
    """Logits that have millions in common."""
    far = np.float32(2.0 ** int(rng.integers(18, 26)))
    _, matrix, bias = _dense(rng, 6, 3)
    last = "dense", matrix, bias + far
    if rng.random() < 0.5:
        last = "dense", matrix + far / 4, bias
    return [_dense(rng, 5, 6), _curve(rng), last]


def _tiny(rng):
    """Numbers that underflow."""
    small = np.float32(10.0 ** -int(rng.integers(15, 38)))
    a, b = _dense(rng, 4, 5, small, 0), _dense(rng, 5, 3, small, 0)
    return [a, _curve(rng), b]


def _large(rng):
    """Numbers that overflow."""
    size = np.float32(10.0 ** int(rng.integers(10, 20)))
    return [
        _dense(rng, 4, 5, size, size),
        _curve(rng),
        _dense(rng, 5, 5, size, size),
        _curve(rng),
        _dense(rng, 5, 3, 1, 1),
    ]


def _shortcut(rng):
    """A value minus itself."""
    values = rng.normal(size=6).astype(np.float32)
    return [
        _dense(rng, 4, 6, float(10.0 ** rng.integers(0, 7))),
        ("sum", values),
        _curve(rng),
        _dense(rng, 6, 3),
    ]


def _ties(rng):
    """Exactly on the edge of a step, by integers."""
    matrix = rng.integers(-2, 3, (4, 5)).astype(np.float32)
    bias = rng.choice([-1.0, -0.5, 0.5, 0.0, 1.0], 5).astype(np.float32)
    tenth = np.float32(rng.choice([0.1, 0.3, 1.0]))
    return [
        ("factor", tenth),
        ("dense", matrix, bias * tenth),
        ("factor", 1 / tenth),
        _curve(rng),
        _dense(rng, 5, 3),
    ]


def _deep(rng):
    """Many linear layers, which a backward pass folds into one."""
    chain = []
    for _ in range(int(rng.integers(3, 8))):
        chain.append(_dense(rng, 5, 5, 2.0))
        if rng.random() < 0.3:
            chain.append(_curve(rng))
    return [*chain, _dense(rng, 5, 3)]


def _totals(rng):
    """A sum over hundreds of features."""
    return [
        _dense(rng, 5, 600, 1.0, float(10.0 ** rng.integers(0, 6))),
        ("total",),
        _curve(rng),
        _dense(rng, 2, 3),
    ]


def _magnified(rng):
    """Curves at their flat ends, seen through a glass."""
    size = float(10.0 ** rng.integers(4, 8))
    return [
        _dense(rng, 4, 6, 4.0, 3.0),
        ("tanh",),
        _dense(rng, 6, 5, size, size),
        _curve(rng),
        _dense(rng, 5, 3),
    ]


FAMILIES = {
    "common": _common,
    "deep": _deep,
    "far and back": _far_and_back,
    "huge weights": _huge_weights,
    "large": _large,
    "magnified": _magnified,
    "null space": _null_space,
    "shortcut": _shortcut,
    "ties": _ties,
    "tiny": _tiny,
    "totals": _totals,
    "wide": _wide,
}
