"""The table of steps that networks are made of, and how one is drawn.

A step is a function `(draw, x) -> function` that draws its attributes and
constants for values such as x and returns what it does to them. It is chosen
by name, and drawn from a seed of its own, so that a network is a list of pairs
and can lose one of them without the others changing more than they must.
"""

import numpy as np
import tensorflow as tf

BATCH = 3  # Of the batch for which steps are drawn.
STEPS: dict = {}
KINDS: dict = {}


class Unfit(Exception):
    """A step that doesn't apply to values of this shape."""


class Draw:
    """Draws what a step is made of and writes it down.

    Args:
        seed: What the draws follow from.

    Attributes:
        log: What was drawn, as text.
    """

    def __init__(self, seed):
        self.rng, self.log = np.random.default_rng(seed), []

    def pick(self, name, choices):
        """One of several choices."""
        choice = choices[self.rng.integers(len(choices))]
        self.log.append(f"{name}={choice!r}")
        return choice

    def chance(self, name, probability=0.5):
        """True with a probability."""
        happens = bool(self.rng.random() < probability)
        self.log.append(f"{name}={happens}")
        return happens

    def normal(self, name, shape, scale=1.0):
        """Numbers that are the same in float32 and float64."""
        value = (scale * self.rng.normal(size=shape)).astype(np.float32)
        self.log.append(f"{name}={list(np.shape(value))}")
        return value

    def weights(self, shape):
        """A kernel whose last axis is that of outputs."""
        inputs = max(1, int(np.prod(shape[:-1])))
        return self.normal("kernel", shape, 1.5 / np.sqrt(inputs))

    def positive(self, name, shape):
        return (np.abs(self.normal(name, shape)) + 0.1).astype(np.float32)


def step(kind, name=None):
    """Enters a step in the table.

    Args:
        kind: "linear", "curve", "move", "join", "refused" or "mixing".
        name: Its name; that of the function by default.
    """

    def enter(maker):
        key = name or maker.__name__
        if key in STEPS:
            raise ValueError(f"Two steps are named {key}: one is never drawn.")
        STEPS[key], KINDS[key] = maker, kind
        return maker

    return enter


def need(fits):
    """Raises `Unfit` if something doesn't fit."""
    if not fits:
        raise Unfit


def like(x, value):
    """A constant of the type of x."""
    return tf.constant(value, x.dtype)


def in_float32(function):
    """What has a kernel for float32 alone, its input rounded."""
    return lambda x: tf.cast(function(tf.cast(x, tf.float32)), x.dtype)


def last_first(x):
    """Channels from the last axis to the second, as in NCHW."""
    return tf.transpose(x, [0, x.shape.rank - 1, *range(1, x.shape.rank - 1)])


def first_last(x):
    """Channels from the second axis to the last, as in NHWC."""
    return tf.transpose(x, [0, *range(2, x.shape.rank), 1])


def laid_out(function, layout):
    """A function `(x, layout)`, by its layout or, in float64, by another.

    Few kernels take channels first and float64.
    """
    if layout in ("NHWC", "NWC", "NDHWC"):
        return lambda x: function(x, layout)
    other = layout[0] + layout[2:] + "C"

    def run(x):
        if x.dtype == tf.float32:
            return function(x, layout)
        return last_first(function(first_last(x), other))

    return run


def channels(x, layout):
    """How many channels x has."""
    return x.shape[1] if layout[1] == "C" else x.shape[-1]
