import functools

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import losses
from tfrobust.attacks import (
    APGD,
    FAB,
    FGSM,
    PGD,
    Ensemble,
    MinimumNorm,
    Restart,
    Square,
    severity,
)
from tfrobust.threats import L1, L2, Linf

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(1)
X = np.full((6, 4), 0.5, np.float32)
W = np.array([[0, 1], [0, 0.1], [0, -0.1], [0, 0.1]], np.float32)
Y = np.zeros(6, int)
LINF = Linf(0.2)


def sure(x, training=False):
    """Never wrong, but for its islands; the first feature leads to them."""
    return x @ W + np.array([9.0, 0.0], np.float32)


def island(answer, from_on=0.6):
    def model(x, training=False):
        return tf.where(x[:, :1] > from_on, np.float32(answer), sure(x))

    return model


ISLANDS = {
    "nan": island(np.nan),
    "inf": island(np.inf),
    "one": island([0.0, np.nan]),  # The other logit is a number.
    "right": island([np.inf, 0.0]),  # By its argmax it is right.
}
ATTACKS = {
    "fgsm": FGSM,
    "pgd": functools.partial(PGD, steps=4),
    "pgd-restarts": functools.partial(PGD, steps=4, restarts=2),
    "pgd-stops": functools.partial(PGD, steps=4, early_stop=True),
    "pgd-last": functools.partial(PGD, steps=4, best=False),
    "pgd-momentum": functools.partial(PGD, steps=4, best=False, momentum=1.0),
    "pgd-targeted": functools.partial(PGD, steps=4, targeted=True),
    "apgd": functools.partial(APGD, steps=5),
    "apgd-training": functools.partial(APGD, steps=5, early_stop=False),
    "apgd-stages": functools.partial(APGD, steps=10, multi_epsilon=True),
    "apgd-stages-training": functools.partial(
        APGD, steps=10, multi_epsilon=True, early_stop=False
    ),
    "fab": functools.partial(FAB, steps=40),
    "square": functools.partial(Square, queries=30),
    "ensemble": lambda threat: Ensemble([FGSM(threat), PGD(threat)]),
    "restart": lambda threat: Restart(PGD(threat), 2),
    "minimum-norm": lambda threat: MinimumNorm(PGD(threat), steps=3),
}


@pytest.mark.parametrize("answer", list(ISLANDS))
@pytest.mark.parametrize("attack", list(ATTACKS))
def test_a_point_without_finite_logits_is_the_worst(attack, answer):
    # Towards the second class, which a targeted attack aims at.
    y = Y + ("targeted" in attack)
    model = ISLANDS[answer]
    points = ATTACKS[attack](LINF).perturb(model, X, y)
    assert not np.any(np.all(np.isfinite(model(points)), axis=1))
    assert np.all(LINF.contains(X, points))


@pytest.mark.parametrize("norm", [L1, L2])
def test_under_every_norm_it_is_the_worst(norm):
    threat = norm(0.2)
    for attack in (PGD, functools.partial(APGD, steps=20), Square):
        points = attack(threat).perturb(ISLANDS["nan"], X, Y)
        assert np.all(np.isnan(ISLANDS["nan"](points)))
        assert np.all(threat.contains(X, points))


def test_an_input_without_finite_logits_is_left_as_it_is():
    model = island(np.nan, from_on=0.4)
    for attack in ("fgsm", "pgd-last", "apgd", "fab", "square", "ensemble"):
        points = ATTACKS[attack](LINF).perturb(model, X, Y)
        assert np.all(np.isnan(model(points)))
    distance = FAB(LINF).nearest(model, X, Y)[1]
    np.testing.assert_array_equal(distance, 0)


def test_the_nearest_point_without_finite_logits_is_at_its_edge():
    points, distance = FAB(LINF, steps=40).nearest(ISLANDS["nan"], X, Y)
    assert np.all(np.isnan(ISLANDS["nan"](points)))
    np.testing.assert_allclose(distance, 0.1, atol=0.02)


def test_a_point_without_finite_logits_beyond_the_threat_is_no_answer():
    model = island(np.nan, from_on=0.75)
    for attack in ("apgd-stages", "apgd-stages-training", "fab", "apgd"):
        points = ATTACKS[attack](LINF).perturb(model, X, Y)
        assert np.all(LINF.contains(X, points))
        assert np.all(np.isfinite(model(points)))


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_a_gradient_that_is_no_number_spoils_no_point(attack):
    def model(x, training=False):
        # Of the second feature it is NaN, of all beyond 0.55 of the first.
        bad = tf.sqrt(0.0 * x[:, 1:2]) + tf.sqrt(tf.nn.relu(0.55 - x[:, :1]))
        return 10 * (sure(x) - [9.0, 0.55]) + 1e-3 * bad

    points = ATTACKS[attack](LINF).perturb(model, X, Y).numpy()
    assert np.all(np.isfinite(points))
    assert np.all(LINF.contains(X, points))
    assert np.all(losses.margin(Y, model(points)) > 0) != ("targeted" in attack)


@pytest.mark.parametrize("scale", [1e-6, 1e-4, 1.0, 1e4, 1e30])
def test_the_odds_are_those_of_float64(scale):
    logits = (scale * RNG.normal(size=(9, 5))).astype(np.float32)
    y = np.arange(9) % 5
    wrong = logits[np.arange(5) != y[:, np.newaxis]].reshape(9, 4)
    wrong = wrong.astype(np.float64) - logits[np.arange(9), y][:, np.newaxis]
    largest = wrong.max(axis=1)
    rest = np.expm1(wrong - largest[:, np.newaxis])
    expected = largest + np.log1p(rest.mean(axis=1))
    found = severity.odds(y, logits)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7 * scale)


def test_the_odds_grow_as_the_cross_entropy_does():
    logits = tf.constant(RNG.normal(size=(9, 5)), tf.float32)
    y = np.arange(9) % 5
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        odds = severity.odds(y, logits)
        entropy = losses.cross_entropy(y, logits)
    np.testing.assert_allclose(np.log1p(4 * np.exp(odds)), entropy, rtol=1e-5)
    slope = tf.sigmoid(odds + np.log(4).astype(np.float32))[:, tf.newaxis]
    np.testing.assert_allclose(
        slope * tape.gradient(odds, logits),
        tape.gradient(entropy, logits),
        atol=1e-6,
    )


def test_two_classes_have_the_margin_for_odds():
    logits = np.array([[1e-6, -1e-6], [5e4, 1.0]], np.float32)
    np.testing.assert_allclose(
        severity.odds([1, 0], logits), [2e-6, 1 - 5e4], rtol=1e-6
    )


CURVED = RNG.normal(size=(4, 8)) * 2, RNG.normal(size=(8, 2))


@pytest.mark.parametrize("scale", [1e-6, 1e4])
@pytest.mark.parametrize(
    "attack",
    [
        PGD,
        functools.partial(PGD, restarts=3, loss=losses.CrossEntropy()),
        functools.partial(APGD, steps=20),
        functools.partial(APGD, steps=20, early_stop=False),
        functools.partial(Square, queries=50, loss="cross_entropy"),
    ],
    ids=["pgd", "pgd-restarts", "apgd", "apgd-training", "square"],
)
def test_the_scale_of_the_logits_hides_no_point(attack, scale):
    inner, outer = (tf.constant(w, tf.float32) for w in CURVED)

    def scaled(scale):
        return lambda x, training=False: scale * tf.sin(x @ inner) @ outer

    x = RNG.uniform(size=(32, 4)).astype(np.float32)
    y = np.argmax(scaled(1.0)(x), axis=1)
    found = [
        losses.margin(y, scaled(1.0)(attack(LINF).perturb(scaled(s), x, y)))
        for s in (1.0, scale)
    ]
    clean = losses.margin(y, scaled(1.0)(x))
    assert np.mean(found[0]) > np.mean(clean) + 0.3
    assert np.mean(found[1]) > np.mean(clean) + 0.95 * np.mean(found[0] - clean)


def test_labels_out_of_range_are_refused_by_every_loss_on_classes():
    for loss in ("cross_entropy", "margin", losses.Margin()):
        with pytest.raises(ValueError, match="labels from 0 to 1"):
            PGD(LINF, loss=loss).perturb(sure, X, Y + 2)


def test_a_loss_that_is_no_number_is_the_worst_whatever_the_logits():
    values = tf.constant([np.nan, 1.0, -np.inf])
    found = severity.judged(values, tf.zeros([3, 2]))
    np.testing.assert_array_equal(found, [np.inf, 1.0, -np.inf])
