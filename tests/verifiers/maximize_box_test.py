import importlib

import numpy as np
import pytest
import tensorflow as tf

from tests.verifiers.conftest import NETWORKS, randomize
from tfrobust import attacks, threats, verifiers
from tfrobust.verifiers.maximize_box import maximize_box

# The package has the function under this name.
module = importlib.import_module("tfrobust.verifiers.maximize_box")

pytestmark = pytest.mark.one_keras  # See `ops_test.py`.

WIDE = threats.Linf(0.1, low=-10.0, high=10.0)
WEIGHTS = np.array([2.0, -0.5, 1.0, 4.0], np.float32)


def linear(weights, bias=1.0):
    """Two logits: a linear function, and 0."""

    def model(x, training=False):
        return x @ tf.stack([weights, 0.0 * weights], axis=1) + [bias, 0.0]

    return model


def largest(weights, threat, bias=1.0, **arguments):
    """The box of a linear network around 0."""
    x = np.zeros((1, len(weights)), np.float32)
    verifier = verifiers.IBP(threat)
    return maximize_box(
        linear(weights, bias), x, [0], verifier, slack=0.0, **arguments
    )


@pytest.fixture(scope="module")
def network():
    model = NETWORKS["dense"]()
    randomize(model, np.random.default_rng(3))
    return model


@pytest.fixture(scope="module")
def examples(network):
    """Five that the network gets right, and then one that it gets wrong."""
    rng = np.random.default_rng(6)
    x = rng.uniform(-0.2, 1.2, (6, 5)).clip(0, 1).astype(np.float32)
    y = np.argmax(network(x), axis=1)
    y[5] = (y[5] + 1) % 4
    return x, y


@pytest.fixture(scope="module")
def boxes(network, examples):
    verifier = verifiers.CROWNIBP(threats.Linf(0.1))
    return maximize_box(network, *examples, verifier, steps=100)


def check_sound(model, x, y, boxes):
    """No point of a certified box changes the answer."""
    x, y = x[boxes.certified], y[boxes.certified]
    threat = boxes.threat.replace(epsilon=boxes.radii[boxes.certified])
    rng = np.random.default_rng(0)
    points = [
        attacks.PGD(threat, steps=10, step_size=0.3, loss="margin").perturb(
            model, x, y
        )
    ]
    for seed in range(20):
        points.append(threat.sample(x, seed))
        corner = x + 9 * rng.choice([-1.0, 1.0], x.shape).astype(np.float32)
        points.append(threat.project(x, corner))
    for point in points:
        np.testing.assert_array_equal(np.argmax(model(point), axis=1), y)


def test_the_box_of_a_linear_network_is_the_closed_form():
    boxes = largest(WEIGHTS, WIDE)
    # The margin of 1 is shared evenly: radius = 1 / (4 |weight|).
    expected = 0.25 / np.abs(WEIGHTS)
    np.testing.assert_allclose(boxes.radii[0], expected, rtol=0.03)
    np.testing.assert_allclose(boxes.uniform, [1 / 7.5], rtol=1e-4)
    gain = np.log(expected * 7.5).sum()
    np.testing.assert_allclose(boxes.total_gain, [gain], atol=2e-3)
    assert np.sum(np.abs(WEIGHTS) * boxes.radii[0]) <= 1


def test_a_feature_that_only_the_range_bounds_gets_its_width():
    boxes = largest(np.array([2.0, -0.5, 0.01], np.float32), WIDE)
    # The third moves by no more than 10 either way, which costs 0.1.
    np.testing.assert_allclose(boxes.radii[0], [0.225, 0.9, 20], rtol=0.03)


def test_what_the_mask_holds_has_neither_radius_nor_volume():
    masked = threats.Linf(0.1, -10.0, 10.0, mask=[1, 0, 1, 1])
    boxes = largest(WEIGHTS, masked)
    expected = [1 / 6, 0, 1 / 3, 1 / 12]
    np.testing.assert_allclose(boxes.radii[0], expected, rtol=0.03)
    np.testing.assert_allclose(boxes.uniform, [1 / 7], rtol=1e-4)
    geometric = (1 / 6 / 3 / 12) ** (1 / 3)
    np.testing.assert_allclose(boxes.geometric_mean, [geometric], rtol=2e-3)


def test_boxes_are_certified_anew(network, examples, boxes):
    np.testing.assert_array_equal(boxes.certified, [True] * 5 + [False])
    margins = verifiers.CROWNIBP(boxes.threat).margins(network, *examples)
    margins = np.sort(margins, axis=1)[:5]  # The label's own 0 comes first.
    assert np.all(margins[:, 0] == 0) and np.all(margins[:, 1] > 0)
    # And they are as large as they can be: no slack is left.
    assert np.max(margins[:, 1]) < 0.05


def test_no_point_of_a_box_changes_the_answer(network, examples, boxes):
    check_sound(network, *examples, boxes)


def test_boxes_have_more_volume_than_their_cubes(boxes):
    assert np.all(boxes.gain[:5] > 0.02)
    assert np.all(boxes.uniform[:5] > 0)
    assert np.all(boxes.radii[:5] > 0) and np.all(boxes.radii <= 1)
    assert np.all(boxes.arithmetic_mean >= boxes.geometric_mean - 1e-6)


def test_the_cube_is_the_largest(network, examples, boxes):
    for factor, holds in ((0.999, True), (1.001, False)):
        radii = np.reshape(factor * boxes.uniform, [-1, 1])
        verifier = verifiers.CROWNIBP(threats.Linf(radii))
        margins = verifier.margins(network, *examples)
        right = np.sum(margins > 1e-4, axis=1) == 3
        np.testing.assert_array_equal(right[:5], holds)


def test_a_wrong_answer_gets_no_box(boxes):
    np.testing.assert_array_equal(boxes.radii[5], 0)
    assert boxes.uniform[5] == boxes.gain[5] == boxes.geometric_mean[5] == 0


def test_a_box_does_not_depend_on_its_batch_mates(network, examples, boxes):
    x, y = examples
    verifier = verifiers.CROWNIBP(threats.Linf(0.1))
    alone = maximize_box(network, x[2:3], y[2:3], verifier, steps=100)
    np.testing.assert_allclose(alone.uniform, boxes.uniform[2:3], rtol=1e-4)
    np.testing.assert_allclose(alone.gain, boxes.gain[2:3], atol=5e-3)


def test_boxes_that_are_too_large_shrink_to_certified_ones(
    network, examples, monkeypatch
):
    def far(objective, constraints, start, *rest):
        return start, start + 3.0

    monkeypatch.setattr(module, "augmented_lagrangian", far)
    verifier = verifiers.IBP(threats.Linf(0.1))
    boxes = maximize_box(network, *examples, verifier)
    np.testing.assert_array_equal(boxes.certified, [True] * 5 + [False])
    assert np.all(boxes.gain >= 0)
    check_sound(network, *examples, boxes)


def test_a_box_that_turns_out_uncertified_falls_back_to_the_cube(
    network, examples, monkeypatch
):
    def wrong(objective, constraints, start, *rest):
        return start + 3.0, start + 3.0

    monkeypatch.setattr(module, "augmented_lagrangian", wrong)
    verifier = verifiers.IBP(threats.Linf(0.1))
    boxes = maximize_box(network, *examples, verifier)
    cubes = np.repeat(boxes.uniform[:, np.newaxis], 5, axis=1)
    np.testing.assert_array_equal(boxes.radii, cubes)
    np.testing.assert_array_equal(boxes.certified, [True] * 5 + [False])


def test_one_trace_serves_all_iterations():
    calls = []
    model = linear(WEIGHTS)

    def counted(x, training=False):
        calls.append(x)
        return model(x)

    x = np.zeros((1, 4), np.float32)
    maximize_box(counted, x, [0], verifiers.IBP(WIDE), steps=7)
    # For the logits, the bisection, the optimiser and the last check.
    assert len(calls) == 4


@pytest.mark.parametrize(
    ("name", "verifier"),
    [("convolution", verifiers.CROWN), ("dense", verifiers.FastLin)],
)
def test_every_verifier_finds_boxes(name, verifier):
    model = NETWORKS[name]()
    rng = np.random.default_rng(1)
    randomize(model, rng)
    shape = (3, *model.input_shape[1:])
    x = rng.uniform(0, 1, shape).astype(np.float32)
    y = np.argmax(model(x), axis=1)
    boxes = maximize_box(model, x, y, verifier(threats.Linf(0.1)), steps=20)
    assert np.all(boxes.certified) and np.all(boxes.gain >= 0)
    assert np.mean(boxes.gain) > 0.02
    check_sound(model, x, y, boxes)


@pytest.mark.parametrize(
    "verifier",
    [
        attacks.PGD(WIDE),
        verifiers.IBP(threats.L2(0.1)),
        verifiers.IBP(threats.Linf(0.1, high=np.inf)),
    ],
)
def test_a_verifier_of_other_things_is_refused(verifier):
    with pytest.raises(ValueError, match="`verifier` must.*Received: "):
        maximize_box(linear(WEIGHTS), np.zeros((1, 4)), [0], verifier)


def test_arguments_without_sense_are_refused():
    with pytest.raises(ValueError, match="steps=0"):
        largest(WEIGHTS, WIDE, steps=0)
    verifier = verifiers.IBP(WIDE)
    with pytest.raises(ValueError, match="`slack` at least 0.*slack=-1"):
        maximize_box(None, np.zeros((1, 4)), [0], verifier, slack=-1)
    with pytest.raises(ValueError, match="at least one example"):
        maximize_box(None, np.zeros((0, 4)), [], verifier)
