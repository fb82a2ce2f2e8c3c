"""Products of two values stay between their planes, and keep examples apart."""

import numpy as np
import pytest
import tensorflow as tf

from tests.bounds.sampled import KINDS, slack
from tfrobust import threats, verifiers
from tfrobust.bounds.dense import Dense
from tfrobust.bounds.record import look_up, problem
from tfrobust.graph import Trace

pytestmark = pytest.mark.keras_free

MATRIX = np.random.default_rng(3).normal(size=(3, 3)).astype(np.float32)


def turned(x):
    return tf.matmul(x, MATRIX)


def rows(x):
    return tf.einsum("bij,jk->bik", x, MATRIX)


PRODUCTS = {
    "product": (lambda x: x * turned(x), (3,)),
    "broadcast product": (lambda x: x[:, :1] * turned(x), (3,)),
    "square": (lambda x: x * x, (3,)),
    "maximum": (lambda x: tf.maximum(x, turned(x)), (3,)),
    "minimum, broadcast": (lambda x: tf.minimum(x[:, :1], turned(x)), (3,)),
    "quotient": (lambda x: x / (1 + tf.square(turned(x))), (3,)),
    "squared difference": (
        lambda x: tf.math.squared_difference(x, turned(x)),
        (3,),
    ),
    "matrices": (lambda x: tf.matmul(x, rows(x), transpose_b=True), (2, 3)),
    "flipped matrices": (
        lambda x: tf.matmul(rows(x), tf.nn.relu(x), transpose_a=True),
        (2, 3),
    ),
    "einsum": (
        lambda x: tf.einsum("bij,bkj->bik", tf.tanh(x), rows(x)),
        (2, 3),
    ),
    "images": (
        lambda x: tf.nn.conv2d(
            tf.nn.relu(x) * tf.reduce_mean(x, [1, 2], keepdims=True),
            MATRIX[None, None],
            1,
            "SAME",
        ),
        (2, 3, 3),
    ),
}


@pytest.mark.parametrize("name", list(PRODUCTS))
def test_a_product_is_bounded_in_a_network(name):
    found = slack(*PRODUCTS[name])
    # Planes are no looser than intervals, but for a value read twice.
    assert found[2] <= found[0] * (1 + 1e-3) and np.all(found < 300)


def test_lines_are_optimised_before_a_product():
    def function(x):
        return tf.nn.relu(turned(x)) * tf.nn.relu(x)

    optimised = [lambda threat: verifiers.AlphaCROWN(threat, steps=2)]
    optimised[0].__name__ = "AlphaCROWN"
    plain, best = slack(function, (3,), kinds=[KINDS[2], *optimised])
    assert best <= plain * (1 + 1e-4)


def test_planes_are_optimised():
    def function(x):
        product = x * turned(x)
        return product * turned(product)

    kinds = [KINDS[2], verifiers.AlphaCROWN]
    plain, best = slack(function, (3,), kinds=kinds)
    assert best < 0.95 * plain


def planes(low, high, below, above, alpha=None):
    """Slopes and constant of those of `x[0] * x[1]`, below and above."""
    trace = Trace(lambda x, training: x[:, :1] * x[:, 1:], tf.zeros([1, 2]))
    look_up(trace)
    node, still = trace.output, tf.zeros([1, 1])
    factors = [
        (tf.constant([[low]]), tf.constant([[high]]), still),
        (tf.constant([[below]]), tf.constant([[above]]), still),
    ]
    if alpha is not None:
        alpha = tf.fill([1, 2, 1], alpha)
    found = node.rule.planes(node, factors, alpha)
    forms = Dense(tf.constant([[[1.0], [-1.0]]]))
    (x, y), constant = found.pull(forms)
    return np.concatenate(
        [x.tensor[0], y.tensor[0], tf.transpose(constant)], axis=1
    ).astype(float)


@pytest.mark.parametrize(
    "ends",
    [(-1, 2, 3, 5), (-1, 1, -2, 2), (1, 1, -1, 4), (-3, -2, 1e4, 2e4)],
)
@pytest.mark.parametrize("alpha", [None, 0.0, 0.3, 0.5, 1.0])
def test_planes_touch_a_product_and_never_cross_it(ends, alpha):
    low, high, below, above = map(float, ends)
    x, y = np.meshgrid(
        np.linspace(low, high, 41), np.linspace(below, above, 41)
    )
    lower, upper = planes(low, high, below, above, alpha)
    least = lower[0] * x + lower[1] * y + lower[2]
    most = -(upper[0] * x + upper[1] * y + upper[2])
    assert np.all(least <= x * y) and np.all(x * y <= most)
    # They touch it at two corners each.
    size = 1 + np.max(np.abs(x * y))
    assert np.min(x * y - least) < 1e-5 * size
    assert np.min(most - x * y) < 1e-5 * size
    between, area = most - least, (high - low) * (above - below)
    np.testing.assert_allclose(np.mean(between), area / 2, atol=3e-5 * size)
    if alpha == 0.5:
        np.testing.assert_allclose(between, area / 2, atol=3e-5 * size)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_factor_that_keeps_its_sign_multiplies_by_its_least(sign):
    ends = sorted([0.2 * sign, 0.9 * sign])
    for lower in planes(*ends, -1.0, 1.0)[:, 1], planes(-1.0, 1.0, *ends)[:, 0]:
        np.testing.assert_allclose(lower, [0.2 * sign, -0.2 * sign], rtol=1e-6)


@pytest.mark.parametrize(
    "alpha, gap", [(0.0, (0, 4)), (1.0, (4, 0)), (0.5, (2, 2))]
)
def test_planes_are_mccormicks_at_both_ends(alpha, gap):
    lower, upper = planes(-1.0, 1.0, 0.0, 2.0, alpha)
    for x, y, share in [(-1, 0, gap[0]), (1, 2, gap[1])]:
        assert abs(x * y - lower @ [x, y, 1] - share) < 1e-4
    for x, y, share in [(1, 0, gap[1]), (-1, 2, gap[0])]:
        assert abs(-(upper @ [x, y, 1]) - x * y - share) < 1e-4


MIXES = "mixes the examples|isn't known before|first axis"
REFUSED = {
    "a batch of fewer axes": (lambda x: x[:, tf.newaxis] * x, (3,)),
    "matrices of the batch": (
        lambda x: tf.matmul(x, x, transpose_b=True),
        (3,),
    ),
    "a sum over the batch": (lambda x: tf.einsum("bi,bj->ij", x, x), (3,)),
    "the batch at another place": (
        lambda x: tf.einsum("bi,cbj->bcij", x, tf.stack([x, x])),
        (3,),
    ),
    "a larger one of fewer axes": (
        lambda x: tf.maximum(x[:, tf.newaxis], x),
        (3,),
    ),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_a_product_that_may_mix_examples_is_refused(name):
    function, shape = REFUSED[name]
    x = tf.fill([3, *shape], 0.5)
    with pytest.raises(NotImplementedError, match=MIXES):
        trace = Trace(lambda x, training: function(x), x)
        for sentence in map(problem, trace.nodes[1:]):
            if sentence:
                raise NotImplementedError(sentence)


def test_a_product_that_overflows_proves_nothing():
    def model(x, training=False):
        return tf.concat([9 + 0 * x, (1e25 * x) * (1e25 * x[:, :1])], 1)

    x = np.float32([[0.5]])
    for kind in (verifiers.IBP, verifiers.CROWN):
        margins = kind(threats.Linf(0.1)).margins(model, x, [0])
        assert margins[0, 1] == -np.inf


def test_branch_and_bound_knows_products():
    def model(x, training=False):
        return tf.concat([x[:, :1] * x[:, 1:], 0.2 + 0 * x[:, :1]], 1)

    x = np.float32([[0.6, 0.6], [0.4, 0.4]])
    search = verifiers.BranchAndBound(threats.Linf(0.1), timeout=20.0)
    found = search.answer(model, x, np.array([0, 1]))
    assert list(found.verdict) == ["certified", "falsified"]
