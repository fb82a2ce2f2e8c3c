"""Evaluating and training against what is no ball."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras

RNG = np.random.default_rng(1)
X = RNG.uniform(size=(30, 4, 4, 1)).astype(np.float32)
W = RNG.normal(size=(4, 4, 1)).astype(np.float32)
PATCH = tfr.attacks.PatchAttack(
    tfr.threats.Patch(1), steps=8, step_size=0.25, stride=1
)
TURNS = tfr.threats.Spatial(20.0, 1.0, angles=3, shifts=3)
TURNED = tfr.attacks.SpatialAttack(TURNS, early_stop=True)
LEADS = np.sum(X * W, axis=(1, 2, 3))
MIDDLE = np.float32(np.median(LEADS))
Y = (LEADS > MIDDLE).astype(np.int64)


def model(x, training=False):
    lead = tf.reduce_sum(x * W, axis=[1, 2, 3]) - MIDDLE
    return tf.stack([-lead, lead], axis=1)


def evaluated(adversaries):
    return tfr.evaluate(model, (X, Y), adversaries, curve=[1.0], verbose=0)


@pytest.mark.keras_free
def test_a_report_holds_patches_and_transformations(tmp_path):
    report = evaluated({"patch": PATCH, "turned": TURNED})
    rows = {row.name: row for row in report.rows}
    gain = np.where(Y[:, None, None, None], -1, 1) * W
    most = np.maximum(gain * (1 - X), -gain * X).max(axis=(1, 2, 3))
    right = np.abs(LEADS - MIDDLE) > most
    assert 0 < np.mean(right) < 1
    assert rows["patch"].accuracy == pytest.approx(np.mean(right))
    assert rows["turned"].accuracy < 1
    assert [rows[name].norm for name in ("patch", "turned")] == [
        "patch",
        "spatial",
    ]
    for row in report.rows:
        assert row.epsilon is None and row.inside
    assert not report.curves
    checks = {check.name: check for check in report.checks}
    assert checks["diagnostics"].state == "FAILED"
    assert "No attack searches a norm ball" in checks["diagnostics"].detail
    report.save(tmp_path / "report")
    told = json.loads((tmp_path / "report" / "report.json").read_text())
    assert "one square of pixels" in json.dumps(told)
    assert "rotations and translations" in json.dumps(told)


@pytest.mark.keras_free
def test_transformations_alone_need_no_check_of_gradients():
    checks = {c.name: c for c in evaluated({"turned": TURNED}).checks}
    assert checks["diagnostics"].state == "note"


@pytest.mark.keras_free
def test_beside_a_ball_its_attack_is_what_diagnostics_examine():
    pgd = tfr.attacks.PGD(tfr.threats.Linf(0.1), steps=3)
    report = evaluated({"patch": PATCH, "pgd": pgd})
    assert [*report.curves] == ["pgd"]
    names = {check.name for check in report.checks}
    assert {"single_step", "alignment"} <= names
    assert "diagnostics" not in names
    rows = {row.name: row for row in report.rows}
    assert rows["pgd"].epsilon == pytest.approx(0.1)
    assert rows["worst case"].epsilon is None


@pytest.mark.keras_free
def test_an_attack_without_epsilon_asks_for_one():
    with pytest.raises(ValueError, match="`epsilon` must be a number"):
        tfr.attack(model, X, Y, attack=PATCH)


@pytest.mark.keras_free
def test_no_certificate_stands_beside_a_patch():
    verifier = tfr.verifiers.IBP(tfr.threats.Linf(0.1))
    with pytest.raises(ValueError, match="must share one threat"):
        tfr.certify(model, (X, Y), verifier, attack=PATCH)


@pytest.mark.keras_free
def test_what_has_no_place_in_an_objective_is_refused():
    for make in (
        tfr.objectives.TRADES,
        tfr.objectives.ATTA,
        tfr.objectives.GradAlign,
        lambda attack: tfr.objectives.SABR(attack, 0.5),
    ):
        with pytest.raises((ValueError, TypeError), match="`attack.* must"):
            make(PATCH)


@pytest.mark.parametrize("attack", [PATCH, TURNED.replace(tries=4)])
def test_training_against_them_works(attack):
    network = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    trained = tfr.RobustModel(network)
    trained.compile(
        "adam",
        objective=tfr.objectives.WorstCase(attack.replace(seed=3)),
        adversaries={"worst": attack},
    )
    history = trained.fit(
        X, Y, epochs=2, verbose=0, validation_data=(X, Y)
    ).history
    assert history["loss"][1] < history["loss"][0]
    worst, clean = history["val_worst_accuracy"], history["val_accuracy"]
    assert np.all(np.array(worst) <= clean)
