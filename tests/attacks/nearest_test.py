"""Attacks that look for near points: DeepFool, Carlini and Wagner."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.attacks import FAB, CarliniWagner, DeepFool
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


@pytest.mark.parametrize("norm", list(DUAL))
def test_deepfool_overshoots_the_hyperplane_by_its_share(norm):
    attack = DeepFool(norm(0.1, -9.0, 9.0), overshoot=0.03)
    points, distances = attack.nearest(linear, X, Y)
    assert np.all(np.argmax(linear(points), axis=1) != Y)
    # It is sharpened back towards the boundary, but never beyond.
    expected = hyperplanes(norm)
    assert np.all(distances <= 1.031 * expected)
    assert np.all(distances >= 0.999 * expected)


@pytest.mark.parametrize(
    "attack",
    [
        lambda threat: DeepFool(threat),
        lambda threat: CarliniWagner(
            threat, steps=150, searches=6, constant=0.1, learning_rate=0.02
        ),
    ],
)
def test_what_is_found_is_wrong_and_as_far_as_it_says(attack):
    attack = attack(L2(0.3))
    points, distances = attack.nearest(curved, X, CURVED)
    found = np.isfinite(distances)
    assert np.mean(found) > 0.5
    wrong = np.argmax(curved(points), axis=1) != CURVED
    np.testing.assert_array_equal(wrong, found)
    lengths = np.linalg.norm(points - X, axis=1)
    np.testing.assert_allclose(
        np.where(found, distances, 0), lengths, rtol=1e-4, atol=1e-6
    )
    assert np.min(points) >= 0 and np.max(points) <= 1
    # In the threat it returns what lies there, and x elsewhere.
    point = attack.perturb(curved, X, CURVED)
    near = found & (np.asarray(distances) <= 0.3)
    np.testing.assert_allclose(point[near], np.asarray(points)[near], atol=1e-5)
    np.testing.assert_array_equal(point[~near], X[~near])


def test_carlini_and_wagner_come_as_near_as_fab():
    threat = L2(0.3)
    options = {"steps": 300, "searches": 6, "constant": 0.1}
    attack = CarliniWagner(threat, learning_rate=0.02, **options)
    _, distances = attack.nearest(curved, X, CURVED)
    _, nearest = FAB(threat, steps=60, restarts=3).nearest(curved, X, CURVED)
    kept = np.isfinite(nearest)
    assert np.median(np.asarray(distances)[kept] / nearest[kept]) < 1.05


def test_confidence_leads_by_as_much():
    attack = CarliniWagner(
        L2(0.3, -9.0, 9.0),
        steps=200,
        searches=5,
        constant=1.0,
        learning_rate=0.02,
        confidence=0.5,
    )
    points, distances = attack.nearest(linear, X, Y)
    logits = np.array(linear(points))
    true = logits[np.arange(8), Y]
    logits[np.arange(8), Y] = -np.inf
    found = np.isfinite(distances)
    assert np.mean(found) > 0.7
    assert np.all((logits.max(axis=1) - true)[found] >= 0.5 - 1e-4)


def test_what_a_mask_holds_stays():
    mask = np.array([1.0, 0.0, 1.0, 0.0], np.float32)
    for attack in (DeepFool, CarliniWagner):
        options = {"steps": 60} if attack is CarliniWagner else {}
        run = attack(L2(0.5, mask=mask), **options)
        points, _ = run.nearest(curved, X, CURVED)
        np.testing.assert_array_equal(points[:, 1::2], X[:, 1::2])


def test_bad_arguments_are_refused():
    with pytest.raises(TypeError, match="`threat` must be an? L2"):
        CarliniWagner(Linf(0.1))
    with pytest.raises(ValueError, match="have a finite range"):
        CarliniWagner(L2(0.1, -np.inf, np.inf))
    for name in ("steps", "searches", "constant", "learning_rate"):
        with pytest.raises(ValueError, match=f"`{name}`"):
            CarliniWagner(L2(0.1), **{name: 0})
    with pytest.raises(ValueError, match="`overshoot` must"):
        DeepFool(L2(0.1), overshoot=-0.1)
