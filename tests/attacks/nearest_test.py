"""Attacks that look for near points: DeepFool, Carlini and Wagner, EAD."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.attacks import EAD, FAB, CarliniWagner, DeepFool
from tfrobust.threats import L1, L2, Linf

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(6)
X = RNG.uniform(0.2, 0.8, (8, 4)).astype(np.float32)
W = RNG.normal(size=(4, 3)).astype(np.float32)
W1 = RNG.normal(size=(4, 6)).astype(np.float32) * 2
W2 = RNG.normal(size=(6, 3)).astype(np.float32)
DUAL = {Linf: 1, L2: 2, L1: np.inf}


def linear(x, training=False):
    return x @ W


def curved(x, training=False):
    return tf.sin(x @ W1) @ W2


Y = np.argmax(linear(X), axis=1)
CURVED = np.argmax(curved(X), axis=1)


def hyperplanes(norm):
    """Distances to the nearest hyperplane of a linear network."""
    logits = X @ W
    gaps = logits[np.arange(8), Y][:, np.newaxis] - logits
    slopes = W.T[Y][:, np.newaxis] - W.T
    lengths = np.linalg.norm(slopes, DUAL[norm], axis=2)
    return np.nanmin(gaps / np.where(lengths, lengths, np.nan), axis=1)


def compiled(attack, model, y, x=X):
    """What is nearest, by a graph: many steps take less time."""
    find = tf.function(lambda: attack.nearest(model, x, y), autograph=False)
    return (value.numpy() for value in find())


@pytest.mark.parametrize("norm", list(DUAL))
def test_deepfool_overshoots_the_hyperplane_by_its_share(norm):
    attack = DeepFool(norm(0.1, -9.0, 9.0), overshoot=0.03)
    points, distances = attack.nearest(linear, X, Y)
    assert np.all(np.argmax(linear(points), axis=1) != Y)
    # It is sharpened back towards the boundary, but never beyond.
    expected = hyperplanes(norm)
    assert np.all(distances <= 1.031 * expected)
    assert np.all(distances >= 0.999 * expected)


SEARCHED = {"searches": 6, "constant": 0.1, "learning_rate": 0.02}


@pytest.mark.parametrize(
    ("attack", "order"),
    [
        (DeepFool(L2(0.3)), 2),
        (CarliniWagner(L2(0.3), steps=150, **SEARCHED), 2),
        (EAD(L1(0.3), steps=100, **SEARCHED), 1),
        (EAD(L1(0.3), steps=100, rule="en", **SEARCHED), 1),
        (EAD(L1(0.3), steps=100, accelerated=False, **SEARCHED), 1),
    ],
)
def test_what_is_found_is_wrong_and_as_far_as_it_says(attack, order):
    points, distances = compiled(attack, curved, CURVED)
    found = np.isfinite(distances)
    assert np.mean(found) > 0.5
    wrong = np.argmax(curved(points), axis=1) != CURVED
    np.testing.assert_array_equal(wrong, found)
    lengths = np.linalg.norm(points - X, order, axis=1)
    np.testing.assert_allclose(
        np.where(found, distances, 0), lengths, rtol=1e-4, atol=1e-6
    )
    assert np.min(points) >= 0 and np.max(points) <= 1
    # In the threat it returns what lies there, and x elsewhere.
    perturb = tf.function(attack.perturb, autograph=False)
    point = perturb(curved, X, CURVED).numpy()
    near = found & (distances <= 0.3)
    np.testing.assert_allclose(point[near], points[near], atol=1e-5)
    np.testing.assert_array_equal(point[~near], X[~near])


def test_carlini_and_wagner_come_as_near_as_fab():
    threat = L2(0.3)
    options = {"steps": 300, "searches": 6, "constant": 0.1}
    attack = CarliniWagner(threat, learning_rate=0.02, **options)
    _, distances = compiled(attack, curved, CURVED)
    _, nearest = compiled(FAB(threat, steps=60, restarts=3), curved, CURVED)
    kept = np.isfinite(nearest)
    assert np.median(distances[kept] / nearest[kept]) < 1.05


def test_ead_comes_near_the_hyperplane_by_moving_few_features():
    expected = hyperplanes(L1)
    moved = {}
    for beta in (1e-3, 1e-2):
        attack = EAD(
            L1(0.3, -9.0, 9.0),
            steps=150,
            searches=6,
            constant=0.1,
            beta=beta,
        )
        points, distances = compiled(attack, linear, Y)
        assert np.all(distances >= 0.999 * expected)
        moved[beta] = np.count_nonzero(points != X)
    assert np.all(distances <= 1.1 * expected)
    assert moved[1e-2] < moved[1e-3] < 32


def test_one_feature_takes_all_of_a_move_that_shrinks_enough():
    # A model of two classes: what moves first is the steepest feature.
    slopes = np.array([[0.3, -2.0, 0.5, 0.4]], np.float32).T

    def model(x, training=False):
        lead = (x - 0.5) @ slopes
        return tf.concat([-lead, lead], axis=1)

    x = np.full((1, 4), 0.4, np.float32)
    attack = EAD(L1(0.5), 100, searches=10, constant=0.01, beta=5e-3, rule="en")
    points, distances = compiled(attack, model, np.array([1]), x)
    assert np.argmax(model(points)) == 0
    np.testing.assert_array_equal(points[0, [0, 2, 3]], x[0, [0, 2, 3]])
    # The lead is 0.08, of which a unit of the feature takes 2.
    np.testing.assert_allclose(distances, 0.04, rtol=0.02)


@pytest.mark.parametrize(("kind", "norm"), [(CarliniWagner, L2), (EAD, L1)])
def test_confidence_leads_by_as_much(kind, norm):
    attack = kind(
        norm(0.3, -9.0, 9.0),
        steps=200,
        searches=5,
        constant=1.0,
        learning_rate=0.02,
        confidence=0.5,
    )
    points, distances = compiled(attack, linear, Y)
    logits = np.array(linear(points))
    true = logits[np.arange(8), Y]
    logits[np.arange(8), Y] = -np.inf
    found = np.isfinite(distances)
    assert np.mean(found) > 0.7
    assert np.all((logits.max(axis=1) - true)[found] >= 0.5 - 1e-4)


def test_what_a_mask_holds_stays():
    mask = np.array([1.0, 0.0, 1.0, 0.0], np.float32)
    for run in (
        DeepFool(L2(0.5, mask=mask)),
        CarliniWagner(L2(0.5, mask=mask), steps=60),
        EAD(L1(0.5, mask=mask), steps=60, constant=1.0),
    ):
        points, _ = compiled(run, curved, CURVED)
        assert np.any(points != X)
        np.testing.assert_array_equal(points[:, 1::2], X[:, 1::2])


def test_bad_arguments_are_refused():
    with pytest.raises(TypeError, match="`threat` must be an? L2"):
        CarliniWagner(Linf(0.1))
    with pytest.raises(ValueError, match="have a finite range"):
        CarliniWagner(L2(0.1, -np.inf, np.inf))
    with pytest.raises(TypeError, match="`threat` must be an? L1"):
        EAD(L2(0.1))
    for name in ("steps", "searches", "constant", "learning_rate"):
        for kind, threat in ((CarliniWagner, L2(0.1)), (EAD, L1(0.1))):
            with pytest.raises(ValueError, match=f"`{name}`"):
                kind(threat, **{name: 0})
    for name, value in {"beta": -1, "rule": "l2", "confidence": -1}.items():
        with pytest.raises(ValueError, match=f"`{name}` must"):
            EAD(L1(0.1), **{name: value})
    with pytest.raises(ValueError, match="`overshoot` must"):
        DeepFool(L2(0.1), overshoot=-0.1)
