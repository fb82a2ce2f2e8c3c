"""Regression and several labels: losses and attacks against NumPy."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(0.3, 0.7, (24, 4)).astype("float32")
KERNEL = RANDOM.normal(size=(4, 3)).astype("float32")
BIAS = -np.mean(X @ KERNEL, axis=0)
BITS = (X @ KERNEL + BIAS + RANDOM.normal(size=(24, 3)) / 4 > 0).astype("int64")
NUMBERS = (X @ KERNEL[:, :1] + RANDOM.normal(size=(24, 1))).astype("float32")
LINF = tfr.threats.Linf(0.05)
STEP = tfr.attacks.PGD(LINF, steps=1, step_size=1.0, random_start=0.0)
RANDOMLY = tfr.attacks.PGD(LINF, steps=2)
BINARY = keras.losses.BinaryCrossentropy(from_logits=True)


def linear(units):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units)])
    network.set_weights([KERNEL[:, :units], BIAS[:units]])
    return network


def outputs(x, units):
    return x @ KERNEL[:, :units] + BIAS[:units]


def squared(x):
    return np.mean((outputs(x, 1) - NUMBERS) ** 2, axis=1)


def binary(x):
    z = outputs(x, 3)
    return np.mean(np.logaddexp(0, z) - BITS * z, axis=1)


def moved(gradient):
    return X + 0.05 * np.sign(gradient)


def worst_squared():
    return moved((outputs(X, 1) - NUMBERS) @ KERNEL[:, :1].T)


def worst_binary():
    """After one step along the gradient of the mean over labels."""
    likely = 1 / (1 + np.exp(-outputs(X, 3)))
    return moved((likely - BITS) @ KERNEL.T)


CASES = {
    "regression": ("mse", 1, NUMBERS, squared, worst_squared),
    "labels": (BINARY, 3, BITS, binary, worst_binary),
}


def compiled(name, **options):
    loss, units, *_ = CASES[name]
    model = tfr.RobustModel(linear(units))
    options.setdefault("objective", tfr.objectives.WorstCase(STEP))
    options.setdefault("adversaries", {"pgd": STEP})
    model.compile(keras.optimizers.SGD(0.0), loss=loss, **options)
    return model


@pytest.mark.parametrize("name", CASES)
def test_training_ascends_the_compiled_loss(name):
    *_, y, values, worst = CASES[name]
    model = compiled(name)
    logs = model.fit(X, y, batch_size=24, verbose=0).history
    expected = np.mean(values(worst()))
    assert logs["loss"][0] == pytest.approx(expected, rel=1e-4)
    logs = model.evaluate(X, y, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(np.mean(values(X)), rel=1e-4)
    if name == "labels":
        right = (outputs(worst(), 3) > 0) == (BITS == 1)
        assert logs["pgd_accuracy"] == pytest.approx(np.mean(right))
    else:
        assert logs["pgd_loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_reports_hold_the_loss_and_its_interval(name, tmp_path):
    *_, y, values, worst = CASES[name]
    report = tfr.evaluate(compiled(name), (X, y), {"pgd": STEP}, verbose=0)
    losses = values(worst())
    found = report["pgd"]
    np.testing.assert_allclose(found.losses, losses, rtol=1e-4, atol=1e-6)
    error = 1.96 * np.std(losses) / np.sqrt(24)
    assert found.interval == pytest.approx(
        (np.mean(losses) - error, np.mean(losses) + error), rel=1e-4
    )
    largest = np.maximum(values(X), losses)
    np.testing.assert_allclose(
        report["worst case"].losses, largest, rtol=1e-4, atol=1e-6
    )
    assert "pgd" in str(report)
    report.save(tmp_path / "report.json")
    held = json.loads((tmp_path / "report.json").read_text())
    assert len(held["losses"]["pgd"]) == 24


@pytest.mark.parametrize("name", CASES)
def test_certificates_are_ranges_of_the_outputs(name):
    loss, units, y, values, worst = CASES[name]
    crown = tfr.verifiers.CROWN(LINF)
    model = linear(units)
    report = tfr.certify(model, (X, y), crown, loss=loss, verbose=0)
    reach = 0.05 * np.sum(np.abs(KERNEL[:, :units]), axis=0)
    z = outputs(X, units)
    np.testing.assert_allclose(report.lower, z - reach, atol=1e-5)
    np.testing.assert_allclose(report.upper, z + reach, atol=1e-5)
    if name == "regression":
        bound = np.mean((np.abs(z - NUMBERS) + reach) ** 2, axis=1)
        assert report.certified is None
    else:
        away = np.where(BITS == 1, z - reach, z + reach)
        bound = np.mean(np.logaddexp(0, away) - BITS * away, axis=1)
        signs = 2 * BITS - 1
        np.testing.assert_array_equal(report.certified, signs * z > reach)
        assert 0 < np.mean(report.certified) < 1
    np.testing.assert_allclose(report["bound"].losses, bound, rtol=1e-4)
    assert np.all(report["bound"].losses >= values(worst()) - 1e-5)
    assert "Outputs range over" in str(report)


def test_a_radius_alone_chooses_attack_and_verifier():
    model = compiled("regression")
    report = tfr.evaluate(model, (X, NUMBERS), epsilon=0.05, verbose=0)
    expected = np.maximum(squared(worst_squared()), squared(X))
    np.testing.assert_allclose(report["worst case"].losses, expected, rtol=1e-3)
    report = tfr.certify(model, (X, NUMBERS), epsilon=0.05, verbose=0)
    np.testing.assert_allclose(report["bound"].losses, expected, rtol=1e-3)


def test_what_is_exported_is_what_the_model_was_compiled_for(tmp_path):
    found = {}
    for name, (_, units, *_) in CASES.items():
        path = tfr.export(compiled(name), tmp_path / name)
        served = tf.saved_model.load(str(path)).signatures["serving_default"]
        found[name] = served(image=tf.constant(X)), outputs(X, units)
    answers, z = found["regression"]
    assert set(answers) == {"outputs"}
    np.testing.assert_allclose(answers["outputs"], z, atol=1e-5)
    answers, z = found["labels"]
    likely = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(answers["probabilities"], likely, atol=1e-5)
    np.testing.assert_array_equal(answers["labels"], z > 0)


CROWN = tfr.verifiers.CROWN(LINF)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"objective": tfr.objectives.TRADES(RANDOMLY)}, "logits of classes"),
        (
            {"objective": tfr.objectives.AWP(tfr.objectives.TRADES(RANDOMLY))},
            "TRADES reads the outputs as logits",
        ),
        ({"adversaries": {"crown": CROWN}}, "CROWN asks which class wins"),
        (
            {"adversaries": {"pgd": STEP.replace(loss="margin")}},
            "loss 'margin' reads classes",
        ),
        (
            {"adversaries": {"s": tfr.attacks.Square(LINF)}},
            "Square asks which class wins",
        ),
    ],
)
@pytest.mark.parametrize("name", CASES)
def test_what_asks_which_class_wins_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        compiled(name, **options)


def test_certificates_on_disk_and_states_are_refused(tmp_path):
    with pytest.raises(ValueError, match="where another one wins"):
        tfr.attack(compiled("labels"), X, epsilon=0.05)
    with pytest.raises(ValueError, match="compiled for numbers"):
        tfr.export(compiled("regression"), tmp_path, certify=CROWN)
    with pytest.raises(ValueError, match="`state` must be None"):
        tfr.evaluate(
            compiled("labels"), (X, BITS), {"pgd": STEP}, state=tmp_path / "s"
        )


@pytest.mark.parametrize("run", [tfr.evaluate, tfr.certify])
def test_probabilities_of_labels_are_refused(run):
    # All of their ranges are above 0.
    sigmoid = keras.layers.Dense(3, activation="sigmoid")
    network = keras.Sequential([keras.Input((4,)), sigmoid])
    with pytest.raises(ValueError, match="applies a sigmoid"):
        run(network, (X, BITS), epsilon=0.05, loss=BINARY, verbose=0)


def test_outputs_that_are_no_numbers_are_the_worst():
    network = linear(1)
    network.set_weights([np.nan * KERNEL[:, :1], BIAS[:1]])
    report = tfr.evaluate(
        network, (X, NUMBERS), {"pgd": STEP}, loss="mse", verbose=0
    )
    assert np.all(np.isinf(report["clean"].losses))


def test_apgd_and_fgsm_ascend_the_loss_too():
    attacks = {
        "apgd": tfr.attacks.APGD(LINF, steps=10),
        "fgsm": tfr.attacks.FGSM(LINF),
    }
    report = tfr.evaluate(
        linear(1), (X, NUMBERS), attacks, loss="mse", verbose=0
    )
    for name in attacks:
        np.testing.assert_allclose(
            report[name].losses, squared(worst_squared()), rtol=1e-3, atol=1e-6
        )
