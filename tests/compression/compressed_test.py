"""Attacks and certificates of one subnetwork in each of its forms."""

import functools

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.compression import compact, fold, plain, subnetwork

layers = keras.layers
LINF = tfr.threats.Linf(0.05)
RNG = np.random.default_rng(0)
X, Y = RNG.random((6, 6, 6, 2), np.float32), np.arange(6) % 3


@functools.cache
def trained():
    """A chain with a residual block, sparse, with moved statistics."""
    image = keras.Input((6, 6, 2))
    x = layers.Conv2D(12, 3, 2, padding="same")(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    y = layers.Conv2D(12, 3, padding="same")(x)
    y = layers.BatchNormalization()(y)
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    network = subnetwork(keras.Model(image, layers.Dense(3)(x)), density=0.03)
    for _ in range(30):
        network(X, training=True)
    return network


FORMS = {
    "sparse": lambda: trained(),
    "plain": lambda: plain(trained()),
    "compact": lambda: compact(trained()),
    "reset": lambda: compact(trained(), reset_means=True),
    "folded": lambda: fold(compact(trained())),
}


def margins(model, x):
    logits = np.asarray(model(x, training=False))
    return np.take_along_axis(logits, Y[:, np.newaxis], 1) - logits


@functools.cache
def bounds(form):
    """Certified margins by IBP and CROWN."""
    verifiers = tfr.verifiers.IBP(LINF), tfr.verifiers.CROWN(LINF)
    model = FORMS[form]()
    return [np.asarray(v.margins(model, X, Y)) for v in verifiers]


@pytest.mark.parametrize("form", list(FORMS))
def test_no_margin_of_a_sampled_or_attacked_point_falls_below_its_bound(form):
    model = FORMS[form]()
    assert tfr.verifiers.coverage(model).complete
    attack = tfr.attacks.PGD(LINF, steps=5)
    points = [X, np.asarray(attack.perturb(model, X, Y))]
    for seed in range(5):
        points.append(LINF.sample(X, seed))
        away = LINF.sample(X, seed + 9) - X
        points.append(LINF.project(X, X + 50 * away))
    smallest = np.min([margins(model, point) for point in points], axis=0)
    for lower in bounds(form):
        assert np.all(lower <= smallest + 1e-5)
        # Nor are they so low that they say nothing.
        assert np.all(lower >= smallest - 8 * np.ptp(smallest))


@pytest.mark.parametrize("form", ["plain", "compact", "folded"])
def test_forms_of_equal_outputs_have_equal_certificates(form):
    for one, other in zip(bounds("sparse"), bounds(form), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def test_the_forms_differ_in_size():
    sizes = [FORMS[form]().count_params() for form in ("plain", "compact")]
    assert sizes[1] < 0.8 * sizes[0]
    assert not any("normalization" in x.name for x in FORMS["folded"]().layers)


def test_attacks_are_as_strong_in_every_form():
    attack = tfr.attacks.PGD(LINF, steps=5)
    found = [
        margins(trained(), attack.perturb(FORMS[form](), X, Y))
        for form in ("sparse", "compact", "folded")
    ]
    for other in found[1:]:
        # A gradient of nearly 0 may get the other sign from roundings.
        np.testing.assert_allclose(found[0], other, rtol=0.02, atol=0.02)
