"""Networks of steps, drawn from a seed."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tests.bounds.fuzzed import (
    curves,
    joins,
    joint,
    layered,
    linear,
    moves,
    normalizations,
    strange,
    windows,
)
from tests.bounds.fuzzed.steps import BATCH, KINDS, STEPS, Draw, Unfit, like

MODULES = curves, joins, joint, layered, linear, moves, normalizations, strange
MODULES += (windows,)
SHAPES = (1,), (2,), (3,), (5,), (3, 4), (4, 3), (2, 2), (4, 4, 2), (3, 5, 2)
SHAPES += ((4, 4, 4), (1, 4, 4), (3, 3, 2, 2), (3,), (5,), (4, 4, 1), (2, 4, 4))
# Values larger than that, or more of them, say little.
LARGEST, MOST = 1e5, 200
_SHARES = {"linear": 0.45, "curve": 0.25, "move": 0.2, "join": 0.1}
_NOT_AFFINE = (
    "arithmetic",
    "far_away",
    "keras_convolution",  # They may have an activation.
    "keras_dense",
    "one_feature_broadcast_up",
    "same",
)
_STRANGE = "refused", "mixing"
# The names of steps by where they are written, but for strange ones.
FAMILIES: dict = {}
for _name, _maker in STEPS.items():
    if KINDS[_name] not in _STRANGE:
        _family = _maker.__module__.rpartition(".")[2]
        FAMILIES.setdefault(_family, []).append(_name)


class Spec(NamedTuple):
    """What a network follows from: see `drawn`.

    Attributes:
        shape: Of one input.
        steps: Pairs of a step's name and its seed.
        classes: How many.
        call: "plain", or "function" for a network inside a `tf.function`.
    """

    shape: tuple
    steps: tuple
    classes: int = 3
    call: str = "plain"


class Network:
    """A callable of logits, in the type of its inputs.

    Steps that don't apply are left out.

    Args:
        spec: The `Spec`.

    Attributes:
        taken: The steps that apply, as in a `Spec`.
        description: A line for each of them.
    """

    def __init__(self, spec):
        self.spec, self.taken, self.description = spec, [], []
        self._functions = []
        rng = np.random.default_rng(0)
        x = rng.uniform(-0.2, 1, (BATCH, *spec.shape)).astype(np.float32)
        x = tf.constant(x)
        for name, seed in spec.steps:
            x = self._take(name, seed, x)
        self._functions.append(_head(x, spec.classes, len(spec.steps)))
        self._compiled = tf.function(self._run, autograph=False)

    def __call__(self, x, training=False):
        return (self._compiled if self.spec.call == "function" else self._run)(
            x
        )

    def __str__(self):
        lines = [f"input{list(self.spec.shape)} {self.spec.call}"]
        lines += self.description
        lines.append(f"flatten, matmul to {self.spec.classes} classes")
        return "\n".join(lines)

    @property
    def affine(self):
        """Whether only linear steps were taken, and none is strange."""
        return all(
            KINDS[name] in ("linear", "move") and name not in _NOT_AFFINE
            for name, _ in self.taken
        )

    def _run(self, x):
        for function in self._functions:
            x = function(x)
        return x

    def _take(self, name, seed, x):
        draw = Draw(seed)
        try:
            function = STEPS[name](draw, x)
            y = function(x)
        except (Unfit, tf.errors.OpError, ValueError, TypeError):
            return x
        except (IndexError, NotImplementedError, ZeroDivisionError):
            return x
        fits = y.dtype == x.dtype and 1 <= y.shape.rank <= 5
        fits = fits and y.shape[0] == x.shape[0]
        size = int(np.prod(y.shape[1:]))
        if not fits or not 0 < size <= MOST:
            return x
        if not np.max(np.abs(y)) < LARGEST:
            return x
        self._functions.append(function)
        self.taken.append((name, seed))
        self.description.append(f"{name}({', '.join(draw.log)}) -> {y.shape}")
        return y


def drawn(seed):
    """The `Spec` of a seed: every third time of one step, all in turn."""
    if seed % 3 == 0:
        return alone(seed // 3)
    rng = np.random.default_rng([seed, 1])
    shape = SHAPES[rng.integers(len(SHAPES))]
    shares = list(_SHARES.values())
    kinds = list(rng.choice(list(_SHARES), rng.integers(1, 7), p=shares))
    if rng.random() < 0.3:  # One strange step is enough.
        strange = rng.choice(_STRANGE)
        kinds.insert(rng.integers(len(kinds) + 1), strange)
    steps = []
    for kind in kinds:
        names = [name for name in KINDS if KINDS[name] == kind]
        name = names[rng.integers(len(names))]
        steps.append((name, int(rng.integers(2**31))))
    if rng.random() < 0.5:  # Most networks have a ReLU after something linear.
        steps += [("dense", int(rng.integers(2**31))), ("relu", 0)]
    classes = int(rng.choice([2, 3, 3, 3, 10]))
    call = "function" if rng.random() < 0.15 else "plain"
    return Spec(shape, tuple(steps), classes, call)


def alone(number):
    """A network of one step between others, all steps in turn.

    Its shape is one to which the step applies, if there is any.
    """
    names = sorted(STEPS, key=lambda name: KINDS[name] in _STRANGE)
    usual = [name for name in names if KINDS[name] not in _STRANGE]
    names += 3 * usual  # What is refused needs fewer draws.
    name = names[number % len(names)]
    rng = np.random.default_rng([number, 9])
    for k in rng.permutation(len(SHAPES)):
        steps = [(name, int(rng.integers(2**31)))]
        if rng.random() < 0.6:
            steps += [("dense", int(rng.integers(2**31))), ("relu", 0)]
        if rng.random() < 0.4:
            steps.insert(0, (str(rng.choice(["relu", "sigmoid"])), 0))
        spec = Spec(SHAPES[k], tuple(steps))
        if any(taken == name for taken, _ in Network(spec).taken):
            break
    return spec


def paired(first, second, number=0):
    """A network of a step of one family, and then one of another, numbered."""
    numbers = [list(FAMILIES).index(family) for family in (first, second)]
    rng = np.random.default_rng([*numbers, number, 10])
    for _ in range(1000):
        shape = SHAPES[rng.integers(len(SHAPES))]
        names = [rng.choice(FAMILIES[family]) for family in (first, second)]
        steps = [(str(name), int(rng.integers(2**31))) for name in names]
        spec = Spec(shape, tuple(steps))
        if Network(spec).taken == steps:
            return spec
    raise LookupError(f"No step of {second} applies behind one of {first}.")


def _head(x, classes, seed):
    size = int(np.prod(x.shape[1:]))
    kernel = Draw([seed, size]).weights((size, classes))
    return lambda x: tf.matmul(tf.reshape(x, [-1, size]), like(x, kernel))
