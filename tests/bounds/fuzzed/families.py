"""Families of networks that rounding upsets; see `rounding`."""

import numpy as np
import tensorflow as tf

CURVES = {
    "relu": (tf.nn.relu, lambda z: np.maximum(z, 0)),
    "sign": (tf.sign, np.sign),
    "round": (tf.round, np.round),
    "floor": (tf.floor, np.floor),
    "relu6": (tf.nn.relu6, lambda z: np.clip(z, 0, 6)),
    "leaky": (
        lambda z: tf.nn.leaky_relu(z, 0.25),
        lambda z: np.where(z > 0, z, z * z.dtype.type(0.25)),
    ),
    "clip": (
        lambda z: tf.minimum(tf.maximum(z, -0.5), 0.5),
        lambda z: np.clip(z, z.dtype.type(-0.5), z.dtype.type(0.5)),
    ),
    "tanh": (tf.tanh, np.tanh),
    "sigmoid": (tf.sigmoid, lambda z: tf.sigmoid(z).numpy()),
    "elu": (tf.nn.elu, lambda z: tf.nn.elu(z).numpy()),
    "softplus": (tf.math.softplus, lambda z: tf.math.softplus(z).numpy()),
}
SMOOTH = "tanh", "sigmoid", "elu", "softplus"


def _dense(rng, n, m, scale=1.0, bias=0.1):
    matrix = scale * rng.normal(size=(n, m))
    return (
        "dense",
        matrix.astype(np.float32),
        (bias * rng.normal(size=m)).astype(np.float32),
    )


def _curve(rng):
    names = list(CURVES)
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
        _dense(rng, 4, 6, float(rng.choice([0.01, 1.0, 4.0])), 3.0),
        (SMOOTH[rng.integers(len(SMOOTH))],),
        _dense(rng, 6, 5, size, size),
        _curve(rng),
        _dense(rng, 5, 3),
    ]


def _revived(rng):
    """Numbers that underflow, and what is left of them made large again."""
    small = np.float32(10.0 ** -int(rng.integers(18, 30)))
    a, b = _dense(rng, 4, 5, small, 0), _dense(rng, 5, 4, small, 0)
    large = np.float32(10.0 ** int(rng.integers(20, 38)))
    return [a, b, ("factor", large), _curve(rng), _dense(rng, 4, 3)]


def _overflowing(rng):
    """Sums that overflow in some orders only."""
    size = np.float32(rng.choice([1e38, 3e38]))
    matrix = rng.choice([size, -size, 0, 1], (6, 4)).astype(np.float32)
    matrix[3:] = -matrix[:3]
    bias = rng.choice([0.5, -0.5], 4).astype(np.float32)
    return [("dense", matrix, bias), _curve(rng), _dense(rng, 4, 3)]


FAMILIES = {
    "common": _common,
    "deep": _deep,
    "far and back": _far_and_back,
    "huge weights": _huge_weights,
    "large": _large,
    "magnified": _magnified,
    "null space": _null_space,
    "overflowing": _overflowing,
    "revived": _revived,
    "shortcut": _shortcut,
    "ties": _ties,
    "tiny": _tiny,
    "totals": _totals,
    "wide": _wide,
}
