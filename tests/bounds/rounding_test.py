"""What is proven holds in float32, whatever the order of the sums."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import threats, verifiers
from tfrobust.backend import keras
from tfrobust.bounds import rounding
from tfrobust.bounds.record import look_up, record
from tfrobust.graph import Trace

pytestmark = pytest.mark.one_keras  # See `verifiers/ops_test.py`.

layers = keras.layers
VERIFIERS = {
    "ibp": verifiers.IBP,
    "crown-ibp": verifiers.CROWNIBP,
    "crown": verifiers.CROWN,
    "crown alone": lambda threat: verifiers.CROWN(threat, intersect=False),
    "fast-lin": verifiers.FastLin,
    "alpha-crown": lambda threat: verifiers.AlphaCROWN(threat, steps=3),
    "envelope": verifiers.PolyhedralEnvelope,
    "branch and bound": lambda t: verifiers.BranchAndBound(
        t, timeout=0.5, steps=3, candidates=1
    ),
}
every_verifier = pytest.mark.parametrize("verifier", list(VERIFIERS))


def network(features, *weights, activation="relu"):
    """Dense layers with these weights, activated but for the last."""
    steps = [keras.Input((features,))]
    for k, weight in enumerate(weights[::2]):
        last = k == len(weights) // 2 - 1
        steps.append(
            layers.Dense(
                np.shape(weight)[1], activation=None if last else activation
            )
        )
    model = keras.Sequential(steps)
    model.set_weights([np.asarray(weight, np.float32) for weight in weights])
    return model


def bounded(verifier, model, threat, x, y):
    found = VERIFIERS[verifier](threat).margins(model, x, y)
    return np.asarray(found, np.float64)


@every_verifier
def test_a_sign_that_rounding_decides_is_open(verifier):
    # In exact arithmetic the unit gets 0.4 and the second class wins by 3; in
    # float32 large terms swallow it in one order of summation, not in another.
    large = 2.0**24
    model = network(3, [[large], [1], [-large]], [-0.5], [[-10, 0]], [1, 0])
    x = np.array([[1, 0.9, 1]], np.float32)
    threat = threats.Linf(0.05, mask=np.array([0, 1, 0]))
    margins = bounded(verifier, model, threat, x, np.array([0]))
    assert margins[0, 1] <= -3


@every_verifier
def test_a_long_sum_is_bounded_in_every_order(verifier):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(784, 1)).astype(np.float32)
    x = rng.uniform(0, 1, (1, 784)).astype(np.float32)
    terms = (x[0] * weights[:, 0]).astype(np.float32)
    sums = np.array(
        [np.cumsum(rng.permutation(terms))[-1] for _ in range(200)], np.float32
    )
    assert np.ptp(sums) > 0
    # The unit is off in some of these orders and on in others.
    bias = -np.median(sums)
    scale = 1e6
    model = network(784, weights, [bias], [[-scale, 0]], [1, 0])
    margins = bounded(verifier, model, threats.Linf(0.0), x, np.array([0]))
    worst = 1 - scale * np.max(np.maximum(sums + bias, 0))
    assert worst < 0
    assert margins[0, 1] <= worst


@every_verifier
def test_matrices_that_cancel_keep_their_rounding(verifier):
    rng = np.random.default_rng(1)
    first = (10 * rng.normal(size=(6, 8))).astype(np.float32)
    null = np.linalg.svd(first)[2][6:].T
    second = (1000 * null @ rng.normal(size=(2, 3))).astype(np.float32)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, use_bias=False),
            layers.Dense(3, use_bias=False),
        ]
    )
    model.set_weights([first, second])
    x = rng.uniform(0, 1, (8, 6)).astype(np.float32)
    margins = bounded(
        verifier, model, threats.Linf(0.0), x, np.zeros(len(x), int)
    )
    for _ in range(50):  # The network in other orders of its sums.
        order, hidden = rng.permutation(6), rng.permutation(8)
        products = x[:, order, None] * first[order][None]
        units = np.cumsum(products.astype(np.float32), axis=1)[:, -1]
        products = units[:, hidden, None] * second[hidden][None]
        logits = np.cumsum(products.astype(np.float32), axis=1)[:, -1]
        logits = logits.astype(np.float64)
        assert np.all(margins <= logits[:, :1] - logits)
    exact = x.astype(float) @ first.astype(float) @ second.astype(float)
    assert np.all(margins <= exact[:, :1] - exact)


@every_verifier
def test_two_sums_that_cancel_may_be_rounded_apart(verifier):
    # Both units get 0.9, but in one order of the summation 0, in another 2.
    large = 2.0**24
    kernel = [[large, large], [1, 1], [-large, -large]]
    weights = kernel, [0, 0], [[1, 0], [-1, 0]], [0.5, 0]
    model = network(3, *weights, activation=None)
    x = np.array([[1, 0.9, 1]], np.float32)
    margins = bounded(verifier, model, threats.Linf(0.0), x, np.array([0]))
    assert margins[0, 1] <= 0.5 - 2


@every_verifier
def test_a_shortcut_that_swallows_digits_keeps_its_rounding(verifier):
    # The unit gets 0.4, or -0.5 where the sum of the first two is rounded.
    def model(x, training=False):
        large, small = x[:, :1], x[:, 1:]
        unit = tf.nn.relu(large + small - large - 0.5)
        return tf.concat([1 - 10 * unit, 0 * small], axis=1)

    x = np.array([[2.0**24, 0.9]], np.float32)
    threat = threats.Linf(0.0, 0.0, 2.0**25)
    margins = bounded(verifier, model, threat, x, np.array([0]))
    assert margins[0, 1] <= -3


@every_verifier
def test_what_an_activation_reads_is_rounded_where_it_is_open_too(verifier):
    # Of 2**22 * 0.3 + 10.07 float32 keeps eighths.
    large = 2.0**22
    weights = [[1, 1]], [0, 0], [[large], [-large]], [10.07], [[-1, 0]]
    model = network(1, *weights, [10.1, 0])
    x = np.array([[0.3]], np.float32)
    unit = np.float32(large) * x[0, 0] + np.float32(10.07)
    unit -= np.float32(large) * x[0, 0]
    assert unit == 10.125
    margins = bounded(verifier, model, threats.Linf(0.0), x, np.array([0]))
    assert margins[0, 1] <= 10.1 - 10.125


@pytest.mark.builds_keras  # Both normalise batches by other ops.
@every_verifier
@pytest.mark.parametrize("sign", [1, -1])
def test_a_large_constant_that_is_taken_off_again_keeps_its_rounding(
    verifier, sign
):
    # Of x + 3e6 - 3e6 float32 keeps quarters.
    model = keras.Sequential(
        [
            keras.Input((1,)),
            layers.Dense(1),
            layers.BatchNormalization(center=False, scale=False, epsilon=0.0),
            layers.Dense(2),
        ]
    )
    weights = [[1]], [sign * 3e6], [sign * 3e6], [1], [[-1, 0]], [0.5, 0]
    model.set_weights([np.array(weight, np.float32) for weight in weights])
    x = np.array([[0.49], [0.3]], np.float32)
    margins = bounded(verifier, model, threats.Linf(0.0), x, np.zeros(2, int))
    found = np.asarray(model(x, training=False), np.float64)
    assert np.all(margins <= found[:, :1] - found)
    assert np.all(margins[:, 1] <= 0.5 - x[:, 0])
    assert np.all(margins[:, 1] <= 0.5 - (x[:, 0] + 0.125))


@every_verifier
@pytest.mark.parametrize("value", [1e38, np.inf, np.nan])
def test_what_is_not_finite_proves_nothing(verifier, value):
    kernel = np.full((3, 4), value)
    model = network(3, kernel, np.zeros(4), np.eye(4, 2), [9, 0])
    x = np.full((2, 3), 0.9, np.float32)
    threat = threats.Linf(0.05)
    margins = bounded(verifier, model, threat, x, np.zeros(2, int))
    np.testing.assert_array_equal(margins, [[0, -np.inf]] * 2)


@every_verifier
@pytest.mark.parametrize("value", [2e38, np.inf, np.nan])
def test_what_overflows_on_the_way_proves_nothing_either(verifier, value):
    # Whatever it reads, tanh is between -1 and 1; of NaN it is NaN.
    kernel = np.full((3, 4), value)
    weights = kernel, np.zeros(4), np.eye(4, 2), [9, 0]
    model = network(3, *weights, activation="tanh")
    x = np.full((2, 3), 0.9, np.float32)
    threat = threats.Linf(0.05)
    margins = bounded(verifier, model, threat, x, np.zeros(2, int))
    np.testing.assert_array_equal(margins, [[0, -np.inf]] * 2)


@pytest.mark.parametrize("constant", [3e6, -3e6])
def test_the_drift_of_a_sum_covers_its_rounding_whatever_the_sign(constant):
    # Near 3e6 float32 keeps quarters.
    x = tf.constant([[0.4]])
    node = Trace(lambda x, training: x + constant, x).output
    (rounded,) = (x + constant).numpy()[0]
    off = abs(float(rounded) - (0.4 + constant))
    assert off > 0.09
    assert record(node).rule.drift(node, [None], [(x, x)]) >= off


def test_a_total_is_below_its_sum_in_every_order():
    values = 2.0**24, 0.9, -(2.0**24), 0.9
    found = rounding.total([tf.constant([value]) for value in values])
    orders = itertools.permutations(np.float32(values))
    sums = [np.cumsum(order, dtype=np.float32)[-1] for order in orders]
    assert np.min(sums) < 1.8 < np.max(sums)
    assert found <= np.min(sums)


def test_a_sum_over_a_box_rounds_as_often_as_it_is_long():
    rng = np.random.default_rng(0)
    x = tf.constant(rng.uniform(0.5, 1, (1, 5000)), "float32")
    trace = Trace(lambda x, training: tf.nn.relu(x), x)
    interval = {trace.output: (x, x)}
    lower, upper = rounding.boxes(interval)[trace.output]
    exact = np.sum(x.numpy().astype(float))
    # One after the other, as slowly as it goes.
    sums = [
        np.cumsum(rng.permutation(x.numpy()[0]), dtype=np.float32)[-1]
        for _ in range(50)
    ]
    off = np.max(np.abs(np.float64(sums) - exact))
    assert off > exact * rounding.share(0)
    assert np.sum(np.float64(lower)) < np.min(sums)
    assert np.max(sums) < np.sum(np.float64(upper))


def test_what_is_not_finite_is_a_counterexample():
    def model(x, training=False):
        # Beyond 0.6 it overflows to infinity.
        height = 3e38 * tf.nn.relu(1e3 * (x - 0.6))
        return tf.concat([1 + height, 0 * x], axis=1)

    x = np.array([[0.7]], np.float32)
    verifier = verifiers.BranchAndBound(threats.Linf(0.1), timeout=0.0)
    answer = verifier.answer(model, x, np.array([0]))
    assert answer.verdict.tolist() == ["falsified"]


def test_the_share_of_a_sum_is_that_of_its_length():
    unit = 2.0**-24
    for terms in (0, 10, 784, 100_000):
        share = rounding.share(terms)
        assert (terms + 2) * unit / (1 - terms * unit) < share
        assert share < (terms + 5) * unit * 1.02
    with pytest.raises(NotImplementedError, match="several layers"):
        rounding.share(2_000_000)


@every_verifier
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize(
    ("sizes", "scale"),
    [((1e19, 1e19, 1e-19, 1e-19), 1.0), ((1e15, 1e14, 1e-19, 1e-20), 1e-10)],
)
def test_a_coefficient_that_vanishes_hides_nothing(
    verifier, activation, sizes, scale
):
    # Backward, 1e-19 twice is too small for float32; forward, large weights
    # come first and nothing vanishes: at 0.54 the margin is -0.04, scaled.
    steps = [layers.Dense(1, use_bias=False) for _ in range(4)]
    model = keras.Sequential(
        [
            keras.Input((1,)),
            *steps,
            layers.Activation(activation or "linear"),
            layers.Dense(2),
        ]
    )
    weights = [[[w]] for w in sizes] + [[[-1, 0]], [0.5 * scale, 0]]
    model.set_weights([np.array(w, np.float32) for w in weights])
    x = np.array([[0.45]], np.float32)
    margins = bounded(verifier, model, threats.Linf(0.1), x, np.array([0]))
    logits = model(np.array([[0.54]], np.float32)).numpy()[0]
    assert logits[0] < logits[1]
    assert margins[0, 1] < logits[0] - logits[1]


def test_a_network_without_large_values_loses_nothing_to_what_vanishes():
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(50, 3)).astype(np.float32)
    model = network(50, kernel, np.zeros(3, np.float32))
    trace = Trace(model, tf.zeros([1, 50]))
    look_up(trace)
    magnitudes = rounding.Magnitudes()
    for node in trace.nodes:
        shape = [1, *node.shape]
        magnitudes.add(node, (-100 * tf.ones(shape), 100 * tf.ones(shape)))
    assert magnitudes.finite[0]
    assert magnitudes.hidden[0] < 1e-15


@pytest.mark.parametrize(
    "verifier", ["ibp", "crown", "crown-ibp", "fast-lin", "branch and bound"]
)
def test_epsilon_is_not_smaller_for_being_rounded(verifier):
    # float32(0.7) is below 0.7: a point below 0 is within.
    def model(x, training=False):
        sign = tf.sign(x[:, 0])
        return tf.stack([sign, 0 * sign - 0.5], 1)

    threat = threats.Linf(0.7, low=-1.0, high=1.0)
    x, point = np.float32([[0.7]]), np.float32([[-1e-8]])
    assert float(x[0, 0]) - float(point[0, 0]) <= 0.7
    margins = bounded(verifier, model, threat, x, np.array([0]))
    assert margins[0, 1] <= -0.5
