"""What margins say, what a verifier says instead of them, what it costs."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.decision import from_margins
from tfrobust.verifiers import Decision

THREAT = tfr.threats.Linf(0.1)


@pytest.mark.parametrize(
    "margins, verdict, margin",
    [
        ([0.0, 0.1, 0.2], "certified", 0.1),
        ([0.0, 0.1, 0.0], "unknown", 0.0),
        ([0.0, -0.1, 0.2], "unknown", -0.1),
        ([0.0, -np.inf, 0.2], "unknown", -np.inf),
        ([0.0, np.inf, 0.2], "unknown", np.nan),
        ([0.0, np.nan, 0.2], "unknown", np.nan),
        ([np.nan, 0.1, 0.2], "unknown", np.nan),
    ],
)
def test_the_smallest_margin_decides_and_no_number_proves_nothing(
    margins, verdict, margin
):
    decision = from_margins([margins], np.array([0]))
    assert decision.verdict.tolist() == [verdict]
    np.testing.assert_array_equal(decision.margin, np.float32([margin]))
    assert decision.point is None


def test_a_counterexample_outweighs_a_bound():
    decision = Decision([True, True, False], [False, True, True], [1.0] * 3)
    assert decision.verdict.tolist() == ["certified", "falsified", "falsified"]


class Mine(tfr.Verifier):
    """A verifier of the user's: a constructor and margins."""

    def __init__(self, threat):
        self.threat = threat

    def margins(self, model, x, y):
        return tf.constant([[0.0, 2.0], [-1.0, 0.0]])


def test_a_verifier_of_margins_decides_by_them_and_needs_no_plan():
    verifier, x = Mine(THREAT), np.zeros([2, 3], np.float32)
    for y in ([0, 1], [[0], [1]]):
        decision = verifier.decide(None, x, np.array(y))
        assert decision.verdict.tolist() == ["certified", "unknown"]
        assert decision.margin.numpy().tolist() == [2.0, -1.0]
    assert verifier.cost(None, (3,)) is None


@pytest.fixture(scope="module")
def line():
    """Class 1 iff the first of two features exceeds one half."""
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    network.set_weights(
        [np.array([[-1.0, 1.0], [0.0, 0.0]]), np.array([0.5, -0.5])]
    )
    return network


def test_branch_and_bound_decides_and_shows_its_points(line):
    search = tfr.verifiers.BranchAndBound(THREAT, timeout=5.0, restarts=1)
    x = np.array([[0.3, 0.5], [0.45, 0.5]], np.float32)
    decision = search.decide(line, x, np.array([0, 0]))
    assert decision.verdict.tolist() == ["certified", "falsified"]
    # The margin is twice the way to one half.
    np.testing.assert_allclose(decision.margin, [0.2, -0.1], atol=1e-5)
    np.testing.assert_array_equal(decision.point[0], x[0])
    assert decision.point[1, 0] > 0.5
    assert np.all(THREAT.contains(x, decision.point))


def test_bounds_cost_more_the_wider_the_network_is():
    def cost(verifier, width):
        network = keras.Sequential(
            [
                keras.Input((2,)),
                keras.layers.Dense(width, activation="relu"),
                keras.layers.Dense(width, activation="relu"),
                keras.layers.Dense(2),
            ]
        )
        return verifier.cost(network, (2,))

    crown, search = (
        tfr.verifiers.CROWN(THREAT),
        tfr.verifiers.ladder(THREAT)[-1],
    )
    assert 16 * 16 * 4 < cost(crown, 16) < cost(crown, 64)
    # A part of a threat is bounded as by alpha-CROWN from CROWN's bounds.
    alpha = tfr.verifiers.AlphaCROWN(THREAT, intermediate=False)
    assert cost(search, 16) == cost(alpha, 16)


def test_ten_classes_of_a_wide_network_take_megabytes():
    network = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(16, 3, 2, "same", activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    assert tfr.verifiers.AlphaCROWN(THREAT).cost(network, (28, 28, 1)) < 2**24


def test_what_has_no_rule_costs_nothing_but_a_sentence():
    def model(x, training=False):
        return tf.sort(x)

    for verifier in tfr.verifiers.ladder(THREAT):
        with pytest.raises(NotImplementedError, match="no rule"):
            verifier.cost(model, (3,))


@pytest.mark.parametrize("kind", [float, np.int16, np.uint8])
def test_whole_labels_of_any_type_are_labels(kind):
    margins = np.float32([[0.0, 1.0], [-1.0, 0.0]])
    found = from_margins(margins, np.array([0, 1]).astype(kind))
    np.testing.assert_array_equal(found.margin, [1.0, -1.0])
