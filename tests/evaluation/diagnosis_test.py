"""Every diagnostic passes a healthy model and catches a broken one."""

import types

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.evaluation import diagnosis
from tfrobust.evaluation.subject import Subject

pytestmark = pytest.mark.keras_free

LINF = tfr.threats.Linf(0.1)
PGD = tfr.attacks.PGD(LINF)


def middle(x):
    return tf.reduce_mean(x, axis=[1, 2]) - 0.5


def two(margin):
    """The logits of two classes; a positive margin is class 1."""
    return tf.stack([-margin, margin], axis=1)


def linear(x, training=False):
    return two(4.0 * middle(x))


def probabilities(x, training=False):
    return tf.nn.softmax(linear(x))


def saturated(x, training=False):
    return 1e4 * linear(x)


def random(x, training=False):
    return linear(x) + 0.01 * tf.random.normal([tf.shape(x)[0], 2])


def infinite(x, training=False):
    return linear(x) / 0.0


def with_gradient(change):
    """The linear model, whose input gradient is changed on the way back."""

    @tf.custom_gradient
    def changed(x):
        return tf.identity(x), lambda upstream: change(x, upstream)

    return lambda x, training=False: linear(changed(x))


def flat_regions(x, training=False):
    @tf.custom_gradient
    def rounded(x):
        return tf.round(64 * x) / 64, tf.zeros_like

    return linear(rounded(x))


def is_flat(x):
    """Whether all features of a row are equal, as only in the data."""
    spread = tf.reduce_max(x, [1, 2], True) - tf.reduce_min(x, [1, 2], True)
    return spread < 1e-6


deceptive = with_gradient(lambda x, upstream: -upstream)
honest_at_data = with_gradient(
    lambda x, upstream: tf.where(is_flat(x), upstream, -upstream)
)
# Catastrophic overfitting: one step from the data goes the wrong way.
overfitted = with_gradient(
    lambda x, upstream: tf.where(is_flat(x), -upstream, upstream)
)


def shattered(x, training=False):
    """High-frequency ripples make the gradient point anywhere."""
    ripples = tf.reduce_mean(tf.sin(2000.0 * x), axis=[1, 2])
    return two(4.0 * middle(x) + 0.02 * ripples)


def decoy(x, training=False):
    """Class 0 at the data; only class 1 can be reached.

    The gradient of the cross entropy follows the steeper class 2, which rises
    the other way and soon no further.
    """
    t = middle(x)
    near = -0.1 + 5 * tf.minimum(-t, 0.01)
    return tf.stack([tf.zeros_like(t), t - 0.05, near], axis=1)


def ditch(x, training=False):
    """Class 1 grows up to a distance of 0.05, and is lost beyond 0.08."""
    t = tf.abs(middle(x))
    return two(0.5 + 10 * t - 60 * tf.maximum(t - 0.05, 0.0))


def subject(
    model, attack=PGD, standing=None, flat=False, labels=None, **options
):
    """Ten examples between 0.01 and 0.09 from one half, twenty far away."""
    rng = np.random.default_rng(0)
    distance = np.concatenate([np.linspace(0.01, 0.09, 10), [0.15] * 20])
    y = np.arange(30) % 2
    mean = 0.5 + np.where(y, 1, -1) * distance
    noise = rng.uniform(-0.05, 0.05, (30, 2, 3)) * (not flat)
    noise -= noise.mean(axis=(1, 2), keepdims=True)
    x = mean[:, np.newaxis, np.newaxis] + noise
    if labels is not None:
        x, y = np.full_like(x, 0.5), np.full_like(y, labels)
    x = x.astype(np.float32)
    examined = Subject(model, attack, x, y, standing, **options)
    if standing is None:
        # The attack is all that was run.
        right = examined.attacked["correct"] & examined.clean["correct"]
        examined.standing = right
    return examined


def test_a_healthy_model_passes_every_diagnostic():
    examined = subject(linear)
    assert examined.accuracy == 20 / 30
    checks = diagnosis.diagnose(examined)
    assert [check.name for check in checks] == [
        check.__name__ for check in diagnosis.CHECKS
    ]
    assert [check.detail for check in checks if not check.passed] == []


def test_a_saturated_softmax_hides_nothing_from_attacks():
    examined, plain = subject(saturated), subject(linear)
    assert examined.accuracy == plain.accuracy
    for check in (diagnosis.zero_gradient, diagnosis.gradient_free):
        assert check(examined).passed


@pytest.mark.parametrize(
    "names, examined",
    [
        ("logits", lambda: subject(probabilities)),
        ("zero_gradient gradient_free", lambda: subject(flat_regions)),
        ("deterministic", lambda: subject(random)),
        ("deterministic", lambda: subject(infinite)),
        ("gradient_free random_noise unbounded", lambda: subject(deceptive)),
        ("gradient_free random_noise", lambda: subject(shattered)),
        ("single_step", lambda: subject(honest_at_data, flat=True)),
        (
            "converged unbounded",
            lambda: subject(
                linear, PGD.replace(steps=2, step_size=0.05, random_start=0)
            ),
        ),
        # No attack of the evaluation fooled anything, and PGD does.
        ("converged", lambda: subject(linear, standing=np.full(30, True))),
        ("targeted other_loss", lambda: subject(decoy, labels=0)),
        (
            "loss_path",
            lambda: subject(
                ditch, PGD.replace(steps=3, step_size=1.0), labels=1
            ),
        ),
        ("alignment", lambda: subject(overfitted, flat=True)),
    ],
)
def test_a_broken_model_or_attack_is_caught_by(names, examined, monkeypatch):
    chosen = [getattr(diagnosis, name) for name in names.split()]
    monkeypatch.setattr(diagnosis, "CHECKS", chosen)
    checks = diagnosis.diagnose(examined())
    assert [check.name for check in checks] == names.split()
    assert [check for check in checks if check.passed] == []
    assert all(check.critical for check in checks)


def test_a_weak_attack_on_an_honest_model_is_told_with_its_size():
    weak = subject(linear)
    # One example in the threat's reach, of 30, stands for what PGD missed.
    weak.standing = weak.standing | (np.arange(30) == 3)
    checks = {check.name: check for check in diagnosis.diagnose(weak)}
    failed = {n: c.state for n, c in checks.items() if not c.passed}
    notes = dict.fromkeys(("converged", "targeted", "other_loss"), "note")
    assert failed == {**notes, "strength": "weak"}
    assert checks["strength"].overstated == pytest.approx(1 / 30)
    assert "too high by at least" in checks["strength"].detail
    assert 'steps=50, loss="margin"' in checks["strength"].detail
    # What a search without gradients finds besides is no sign of masking.
    assert weak.fooled(weak.run(tfr.attacks.Square(LINF, 200))) > 0


def test_attacks_that_miss_too_much_excuse_nothing():
    weak = subject(linear, standing=np.full(30, True))
    checks = {check.name: check.state for check in diagnosis.diagnose(weak)}
    assert checks["strength"] == checks["gradient_free"] == "FAILED"


@pytest.mark.parametrize(
    "single, many, longer, states",
    [
        (0.5, 0.5, 0.5, ("ok", "ok")),
        (0.5, 0.505, 0.5, ("note", "ok")),
        (0.5, 0.52, 0.52, ("FAILED", "ok")),
        (0.5, 0.5, 0.505, ("ok", "note")),
        (0.5, 0.5, 0.52, ("ok", "FAILED")),
        (0.5, 0.5, 0.45, ("ok", "note")),
        (0.5, 0.5, 0.38, ("ok", "FAILED")),
    ],
)
def test_more_steps_are_not_weaker_by_anything(single, many, longer, states):
    found = types.SimpleNamespace(
        single=single,
        accuracy=many,
        attack=PGD,
        longer=longer,
        right=lambda answer: answer,
        fooled=lambda answer: 0.0,
    )
    checks = diagnosis.single_step(found), diagnosis.converged(found)
    assert tuple(check.state for check in checks) == states


def test_what_a_mask_protects_does_not_make_a_report_unreliable():
    mask = np.array([[1, 0, 0], [0, 0, 0]])
    attack = tfr.attacks.PGD(tfr.threats.Linf(0.1, mask=mask))
    check = diagnosis.unbounded(subject(linear, attack))
    assert not check.passed
    assert not check.critical


def test_a_model_without_gradients_is_diagnosed_through_its_surrogate():
    def stopped(x, training=False):
        return linear(tf.stop_gradient(x))

    examined = subject(stopped, surrogate=linear)
    assert [c.name for c in diagnosis.diagnose(examined) if not c.passed] == []

    def other(x, training=False):
        # Wrong about the one example that is less than 0.025 above.
        return linear(x) - two(tf.fill(tf.shape(x)[:1], 0.1))

    failed = diagnosis.surrogate(subject(stopped, surrogate=other))
    assert not failed.passed
    assert "predicts the same on 96.7%" in failed.detail


def test_noise_of_the_model_is_right_if_its_mean_was_attacked():
    assert not diagnosis.deterministic(subject(random)).passed
    assert diagnosis.deterministic(subject(random, randomised=True)).passed
    with np.errstate(all="ignore"):
        endless = subject(infinite, randomised=True)
        assert not diagnosis.deterministic(endless).passed
