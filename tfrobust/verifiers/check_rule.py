"""Trying to break the bounds of a function."""

import numbers
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.attacks import PGD
from tfrobust.bounds import Bounds
from tfrobust.graph import Trace
from tfrobust.threats import Box
from tfrobust.verifiers.alpha_crown import AlphaCROWN
from tfrobust.verifiers.crown import CROWN
from tfrobust.verifiers.crown_ibp import CROWNIBP
from tfrobust.verifiers.ibp import IBP

_LOGITS = 3


def check_rule(
    function: Callable,
    shape: Sequence[int],
    low: float = -4.0,
    high: float = 4.0,
    samples: int = 64,
    seed: int = 0,
) -> None:
    """Tries to break the bounds of a function, with random points and attacks.

    For a new rule: every value must stay within its interval and every margin
    of a random linear layer behind the function above its bounds, on boxes
    from points to the whole range, and no example may depend on another. What
    passes isn't proven sound; what is unsound by much doesn't pass.

    Args:
        function: A function of a tensor `[batch, *shape]` to a tensor, such as
            `tf.math.softplus`.
        shape: Shape of one input.
        low: Smallest value of an input.
        high: Largest value of an input.
        samples: Number of boxes.
        seed: Of what is drawn.

    Raises:
        NotImplementedError: If an op has no rule.
        TypeError: If the function doesn't return one tensor.
        ValueError: If a bound is wrong, with the place where it is, or an
            argument isn't as expected.

    Example:
        `tfr.verifiers.check_rule(tf.nn.relu, shape=(3,))`
    """
    _check_arguments(shape, low, high, samples, seed)
    rng = np.random.default_rng(seed)
    x = tf.constant(rng.uniform(low, high, (samples, *shape)), tf.float32)
    radius = (high - low) * 10 ** rng.uniform(-5, 0, x.shape)
    radius[rng.random(x.shape) < 0.2] = 0.0
    threat = Box(radius.astype(np.float32), low, high)
    _check_answer(function(x), samples)
    _check_alone(function, x)
    size = np.prod(function(x[:1]).shape[1:], dtype=int)
    head = tf.constant(rng.normal(size=(size, _LOGITS)), tf.float32)

    def model(x, training=False):
        return tf.matmul(tf.reshape(function(x), [-1, size]), head)

    y = rng.integers(0, _LOGITS, samples)
    attack = PGD(threat, steps=10, restarts=3, loss="margin")
    points = [x, *threat.box(x), attack.perturb(model, x, y)]
    points += [threat.sample(x, seed + k) for k in range(16)]
    points = [np.asarray(point) for point in points]
    _check_intervals(model, threat, x, points)
    verifiers = [kind(threat) for kind in (IBP, CROWNIBP, CROWN)]
    for verifier in (*verifiers, AlphaCROWN(threat, steps=3)):
        _check_margins(verifier, model, x, y, points)


def _check_arguments(shape, low, high, samples, seed):
    """Refuses what no boxes can be drawn from."""
    listed = isinstance(shape, (list, tuple, tf.TensorShape)) and len(shape)
    whole = listed and all(isinstance(n, numbers.Integral) for n in shape)
    fits = bool(whole) and min(shape) > 0
    expected = "be the shape of one input, without the batch, such as (3,)"
    checks.argument(fits, "shape", expected, repr(shape))
    checks.finite(low=low, high=high)
    checks.argument(low < high, "low", f"be below high={high:g}", low)
    checks.count(samples, "samples")
    checks.count(seed, "seed", least=0)


def _check_answer(found, samples):
    """Refuses what isn't one tensor with a row for each example."""
    if not tf.is_tensor(found):
        raise TypeError(
            "`function` must return one tensor, [batch, ...]. Received: "
            f"{type(found).__name__}. Return one of its parts, or join them "
            "with tf.concat."
        )
    rows = found.shape.rank and found.shape[0] == samples
    expected = f"return one row for each of {samples} examples, [batch, ...]"
    received = f"a tensor of shape {found.shape}"
    checks.argument(bool(rows), "function", expected, received)


def _check_alone(function, x):
    """Whether each example is the same alone as in a batch."""
    together = function(x)
    for k in (0, len(x) - 1):
        alone = function(x[k : k + 1])[0]
        if alone.shape != together[k].shape or not np.allclose(
            alone, together[k], rtol=1e-4, atol=1e-5
        ):
            raise ValueError(
                "The function mixes the examples of a batch: example "
                f"{k} alone gives {np.ravel(alone)}, in the batch "
                f"{np.ravel(together[k])}."
            )


def _check_intervals(model, threat, x, points):
    trace = Trace(model, x)
    bounds = Bounds(trace, threat, x)
    for point in points:
        values = {trace.input: tf.constant(point)}
        for node in trace.nodes[1:]:
            values[node] = node.run(*(values[i] for i in node.dependent))
            lower, upper = map(np.asarray, bounds.intervals[node])
            found = values[node].numpy()
            outside = ~((lower <= found) & (found <= upper))
            if np.any(outside):
                place = tuple(np.argwhere(outside)[0])
                raise ValueError(
                    f"{node!r} leaves its interval: {found[place]} isn't in "
                    f"[{lower[place]}, {upper[place]}], at the input "
                    f"{point[place[0]].tolist()}."
                )


def _check_margins(verifier, model, x, y, points):
    proven = verifier.margins(model, x, y).numpy()
    for point in points:
        logits = model(tf.constant(point)).numpy()
        true = np.take_along_axis(logits, y[:, np.newaxis], axis=1)
        wrong = ~(proven <= true - logits)
        if np.any(wrong):
            example, rival = np.argwhere(wrong)[0]
            raise ValueError(
                f"{type(verifier).__name__} proves a margin of "
                f"{proven[example, rival]}, but it is "
                f"{true[example, 0] - logits[example, rival]} at the input "
                f"{point[example].tolist()}."
            )
