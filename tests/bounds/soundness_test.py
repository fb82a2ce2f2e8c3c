"""No point of a threat escapes any bound, on any network of any op.

Bounds of every value inside are held against that value at many points: random
ones, corners, and what an attack finds.
"""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.verifiers.conftest import (
    CLASSES,
    DIFFER,
    NETWORKS,
    random_network,
    randomize,
)
from tfrobust import attacks, threats
from tfrobust.bounds import bounds as bounds_module
from tfrobust.bounds import rounding, rules
from tfrobust.bounds.activation import Activation, Relaxation, hinge_lines
from tfrobust.bounds.bounds import Bounds
from tfrobust.bounds.linear import Linear
from tfrobust.graph import Trace
from tfrobust.verifiers import crown
from tfrobust.verifiers.bounding import label_wins

pytestmark = pytest.mark.one_keras  # See `verifiers/ops_test.py`.

BATCH, DRAWS = 4, 8
# An attack takes as long to compile as all bounds.
ATTACKED = ("dense", "convolution", "residual", "tanh", "max pooling")
THREATS = {"linf": threats.Linf(0.1), "l2": threats.L2(0.4)}
THREATS["l1"] = threats.L1(0.8)


@functools.cache
def points(norm, shape):
    """A function of (x, epsilon): points at random and corners.

    Networks of one shape share it, since it takes as long to compile as bounds.
    """

    @tf.function(autograph=False)
    def drawn(x, epsilon, seed):
        threat = THREATS[norm].replace(epsilon=epsilon)
        direction = threat.sample(x, seed + 9) - x
        corner = threat.project(x, x + 50 * direction)
        return tf.concat([threat.sample(x, seed), corner], axis=0)

    def found(x, epsilon):
        seeds = [drawn(x, epsilon, tf.constant(seed)) for seed in range(3)]
        return tf.concat([x, *seeds], axis=0)

    return found


def examined(network, threat, attacked):
    """A function of (x, y, epsilon, found): holds bounds against points.

    Returns:
        Values, their lower and their upper bounds, for each node and method;
        lower bounds on margins by three methods; and the smallest margins seen.
    """

    def examine(x, y, epsilon, found):
        over = threat.replace(epsilon=epsilon)
        trace = Trace(network, x)
        methods = [Bounds(trace, over, x, t) for t in (False, True)]
        specification = label_wins(y, trace.value)
        lowers = [
            methods[0].lower_from_intervals(specification),
            methods[0].lower(specification),
            methods[1].lower(specification),
        ]
        if attacked:
            attack = attacks.PGD(over, steps=5, step_size=0.5, loss="margin")
            found = tf.concat([attack.perturb(network, x, y), found], axis=0)
        values = {trace.input: found}
        for node in trace.nodes[1:]:
            given = [values[other] for other in node.dependent]
            values[node] = node.run(*given)
        repeated = tf.tile(y, [tf.shape(found)[0] // BATCH])
        seen = margins(values[trace.output], repeated)
        seen = tf.reshape(seen, [-1, BATCH, CLASSES])
        bounded = [
            (values[node], *bounds.intervals[node])
            for bounds in methods
            for node in trace.nodes
        ]
        return bounded, lowers, tf.reduce_min(seen, axis=0)

    return examine


def left(value, lower, upper):
    """By how much values left their bounds, relative to their size."""
    value, lower, upper = map(np.asarray, (value, lower, upper))
    value = value.reshape(-1, *lower.shape)
    size = 1 + np.max(np.abs(upper) + np.abs(lower))
    return np.max(np.maximum(lower - value, value - upper)) / size


def margins(logits, y):
    true = tf.gather(logits, y, axis=1, batch_dims=1)
    return true[:, tf.newaxis] - logits


def inputs(shape, rng):
    """Inputs in the valid range, some on its faces."""
    x = rng.uniform(-0.2, 1.2, (BATCH, *shape)).clip(0, 1)
    x, y = x.astype(np.float32), rng.integers(0, CLASSES, BATCH)
    return tf.constant(x), tf.constant(y)


def check(
    monkeypatch, network, norm, attacked=False, compiled=True, draws=DRAWS
):
    rng, threat = np.random.default_rng(3), THREATS[norm]
    shape = network.input_shape[1:]
    examine = examined(network, threat, attacked)
    if compiled:
        examine = tf.function(examine, autograph=False)
    draw, epsilon = points(norm, shape), tf.constant(threat.epsilon)
    for _ in range(draws):
        randomize(network, rng)
        x, y = inputs(shape, rng)
        bounded, lowers, smallest = examine(x, y, epsilon, draw(x, epsilon))
        assert np.max([left(*each) for each in bounded]) <= 2e-6
        widths = [np.mean(upper - lower) for _, lower, upper in bounded]
        assert np.all(np.isfinite(widths)) and np.max(widths) > 0
        for lower in np.asarray(lowers):
            size = 1 + np.max(np.abs(smallest))
            assert np.all(lower <= smallest + 2e-6 * size)
    # Without room to move, bounds are the margins themselves: but for what is
    # taken off for rounding and for curves, and closely were it less.
    clean = margins(network(x, training=False), y)
    epsilon = tf.constant(0.0)
    for unit, off in ((rounding.UNIT, 1e-3), (2.0**-48, 1e-5)):
        monkeypatch.setattr(rounding, "UNIT", unit)
        approximation = min(rounding.APPROXIMATION, unit * 16)
        monkeypatch.setattr(rounding, "APPROXIMATION", approximation)
        examine = examined(network, threat, attacked=False)
        still = np.asarray(examine(x, y, epsilon, draw(x, epsilon))[1])
        np.testing.assert_allclose(still, [clean] * 3, atol=off * size)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.builds_keras)
        if name in DIFFER
        else name
        for name in NETWORKS
    ],
)
def test_nothing_escapes_its_bounds(monkeypatch, name):
    check(monkeypatch, NETWORKS[name](), "linf", name in ATTACKED)


@pytest.mark.parametrize("name", ["dense", "convolution", "residual", "tanh"])
@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_nothing_escapes_them_in_other_norms(monkeypatch, name, norm):
    check(monkeypatch, NETWORKS[name](), norm, name in ATTACKED)


@pytest.mark.parametrize("seed", range(9))
def test_nothing_escapes_them_in_networks_drawn_at_random(monkeypatch, seed):
    network = random_network(np.random.default_rng(seed))
    # More networks instead of more weights.
    check(
        monkeypatch, network, list(THREATS)[seed % 3], compiled=False, draws=3
    )


def flat_hinge(node, lower, upper, alpha=None):
    lines = hinge_lines(lower, upper)
    return lines._replace(upper_intercept=0.0 * lower)


def steep_hinge(node, lower, upper, alpha=None):
    lines = hinge_lines(lower, upper)
    return lines._replace(lower_slope=lines.lower_slope * 1.1 + 0.2)


def narrow_step(node, lower, upper, alpha=None):
    zeros = tf.zeros_like(lower)
    middle = node.run((lower + upper) / 2)
    return Relaxation(zeros, middle, zeros, middle)


WRONG = {
    "upper line too low": ("Relu", Activation(flat_hinge), "dense"),
    "lower line too steep": ("Relu", Activation(steep_hinge), "convolution"),
    "weights without magnitude": (
        "Conv2D",
        Linear(
            lambda node: (1, 1),
            weights=True,
            magnitude=lambda node, r: node.run(r),
        ),
        "convolution",
    ),
    "a constant forgotten": (
        "BiasAdd",
        Linear(channelwise=lambda node: True),
        "dense",
    ),
    "a sign forgotten": (
        "Sub",
        Linear(lambda node: (1, 1), offset=True),
        "residual",
    ),
    "a step at its middle": ("Sign", Activation(narrow_step), "sign"),
    "a linear op that isn't": ("Tanh", Linear(), "tanh"),
}


@pytest.mark.parametrize("mistake", list(WRONG))
def test_a_wrong_rule_is_caught(mistake, monkeypatch):
    op, wrong, name = WRONG[mistake]
    record = dataclasses.replace(rules.RULES[op], rule=wrong)
    monkeypatch.setitem(rules.RULES, op, record)
    # It shows at once, before a graph is worth its while.
    with pytest.raises(AssertionError):
        check(monkeypatch, NETWORKS[name](), "linf", compiled=False)


def test_patches_and_dense_functions_give_the_same_bounds(monkeypatch):
    network = NETWORKS["residual"]()
    rng = np.random.default_rng(2)
    randomize(network, rng)
    x, y = inputs(network.input_shape[1:], rng)
    verifier = crown.CROWN(THREATS["l2"])
    # Lines alone: what is settled has wider intervals, but the same lines.
    monkeypatch.setattr(rounding, "UNIT", 2.0**-48)
    monkeypatch.setattr(Bounds, "tightest", Bounds.lower)
    chosen = verifier.margins(network, x, y)
    monkeypatch.setattr(Bounds, "_unstable", lambda *_: None)
    local = verifier.margins(network, x, y)
    monkeypatch.setattr(bounds_module, "Patches", bounds_module.Dense)
    whole = verifier.margins(network, x, y)
    np.testing.assert_allclose(local, whole, atol=1e-5)
    np.testing.assert_allclose(chosen, whole, atol=1e-5)
