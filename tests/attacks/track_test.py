"""Loss and gradient of each step of an attack: `track`."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import tracking
from tfrobust.attacks import (
    APGD,
    EAD,
    FGSM,
    PGD,
    CarliniWagner,
    Ensemble,
    Square,
    track,
)
from tfrobust.threats import L1, L2, Linf

pytestmark = pytest.mark.keras_free

X = np.array([[0.5, 0.5], [0.2, 0.7], [0.9, 0.4]], np.float32)
Y = np.array([0, 0, 0])
SLOPES = np.array([3.0, -4.0], np.float32)


def model(x, training=False):
    """A lead of `x @ SLOPES - 2`, whose gradient has length 5."""
    lead = tf.linalg.matvec(x, SLOPES) - 2
    return tf.stack([tf.zeros_like(lead), lead], axis=1)


def lead(x):
    return x @ SLOPES - 2


def test_every_step_of_pgd_is_kept_in_order():
    attack = PGD(
        Linf(0.1), steps=4, step_size=0.25, random_start=0.0, loss="margin"
    )
    found = track(attack, model, X, Y)
    assert found.loss.shape == found.gradient_norm.shape == (4, 3)
    # Each step moves both features by 0.025.
    for step in range(4):
        moved = X + 0.025 * step * np.sign(SLOPES)
        np.testing.assert_allclose(found.loss[step], lead(moved), atol=1e-5)
    np.testing.assert_allclose(found.gradient_norm, 5, rtol=1e-5)
    np.testing.assert_array_equal(found.point, attack.perturb(model, X, Y))


def test_vanished_gradients_are_seen():
    def stuck(x, training=False):
        return model(x) * tf.where(x[:, :1] > 0.6, 1.0, 0.0)

    found = track(FGSM(Linf(0.1)), stuck, X, Y)
    np.testing.assert_array_equal(found.gradient_norm[0] == 0, [1, 1, 0])
    lines = repr(found).splitlines()
    assert lines[0].split()[0] == "step" and lines[1].endswith("66.7%")


@pytest.mark.parametrize(
    ("attack", "steps"),
    [
        (APGD(Linf(0.9), steps=5), 5),
        (PGD(Linf(0.9), steps=5, early_stop=True, restarts=2), 10),
        (CarliniWagner(L2(0.5), steps=3, searches=2), 7),
        (EAD(L1(0.5), steps=3, searches=2), 7),
    ],
)
def test_all_steps_of_all_runs_are_kept_though_examples_are_fooled(
    attack, steps
):
    found = track(attack, model, X, Y)
    assert found.loss.shape[1] == 3
    assert found.loss.shape[0] in (steps, steps + 1)
    assert np.all(np.isfinite(found.loss))


def test_what_takes_no_gradient_of_all_is_refused():
    with pytest.raises(ValueError, match="which takes none"):
        track(Square(Linf(0.1), queries=3), model, X, Y)
    mixed = Ensemble([FGSM(Linf(0.45)), PGD(Linf(0.45), steps=2)])
    with pytest.raises(ValueError, match="goes on with some of them"):
        track(mixed, model, X, Y)
    with pytest.raises(TypeError, match="`attack` must be an Attack"):
        track(Linf(0.1), model, X, Y)


def test_nothing_is_kept_unless_asked_for():
    with tracking.steps() as noted:
        FGSM(Linf(0.1)).perturb(model, X, Y)
        assert len(noted) == 1
        with tracking.steps() as inner:
            FGSM(Linf(0.1)).perturb(model, X, Y)
        assert len(inner) == len(noted) == 1
    FGSM(Linf(0.1)).perturb(model, X, Y)
    assert len(noted) == 1


def test_a_track_is_saved_as_arrays(tmp_path):
    found = track(FGSM(Linf(0.1)), model, X, Y)
    found.save(tmp_path / "track.npz")
    with np.load(tmp_path / "track.npz") as held:
        for name, value in vars(found).items():
            np.testing.assert_array_equal(held[name], value)
