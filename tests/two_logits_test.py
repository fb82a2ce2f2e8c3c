"""One logit of two classes, wherever a model goes, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.two_logits import TwoLogits

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(0.3, 0.7, (40, 4)).astype("float32")
KERNEL = 3 * RANDOM.normal(size=(4, 1)).astype("float32")
BIAS = -np.mean(X @ KERNEL, axis=0)
Y = (X @ KERNEL + BIAS + RANDOM.normal(size=(40, 1)) > 0).astype("int64")[:, 0]
LINF = tfr.threats.Linf(0.05)
STEP = tfr.attacks.PGD(LINF, steps=1, step_size=1.0, random_start=0.0)
BINARY = keras.losses.BinaryCrossentropy(from_logits=True)


def linear(head=None):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, head)])
    network.set_weights([KERNEL, BIAS])
    return network


def z(x):
    return (x @ KERNEL + BIAS)[:, 0]


def worst():
    """Of a linear logit one step is the worst."""
    signs = (2 * Y - 1)[:, np.newaxis] * np.sign(KERNEL.T)
    return X - 0.05 * signs


def binary(x, smoothing=0.0):
    target = Y * (1 - smoothing) + smoothing / 2
    return np.logaddexp(0, z(x)) - target * z(x)


def right(x):
    return np.mean((z(x) > 0) == (Y == 1))


def compiled(loss=BINARY, **options):
    model = tfr.RobustModel(linear())
    options.setdefault("objective", tfr.objectives.WorstCase(STEP))
    options.setdefault("adversaries", {"pgd": STEP})
    model.compile(keras.optimizers.SGD(0.0), loss=loss, **options)
    return model


SMOOTH = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1)


@pytest.mark.parametrize(
    "loss, smoothing", [(BINARY, 0.0), (SMOOTH, 0.1), (None, 0.0)]
)
def test_training_and_evaluation_are_those_of_the_binary_loss(loss, smoothing):
    model = compiled(loss)
    logs = model.fit(X, Y, batch_size=40, verbose=0).history
    expected = np.mean(binary(worst(), smoothing))
    assert logs["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert logs["pgd1_accuracy"][0] == pytest.approx(right(worst()))
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(
        np.mean(binary(X, smoothing)), rel=1e-5
    )
    assert logs["accuracy"] == pytest.approx(right(X))
    assert logs["pgd_accuracy"] == pytest.approx(right(worst()))
    assert right(worst()) < right(X)


def test_metrics_see_one_logit():
    area = keras.metrics.AUC(from_logits=True, name="auc")
    crown = tfr.verifiers.CROWN(LINF)
    model = compiled(metrics=[area], adversaries={"pgd": STEP, "crown": crown})
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    for name, points in {
        "auc": X,
        "pgd_auc": worst(),
        "crown_auc": worst(),
    }.items():
        expected = keras.metrics.AUC(from_logits=True)
        expected.update_state(Y, z(points))
        assert logs[name] == pytest.approx(float(expected.result()), abs=1e-3)


def test_objectives_on_probabilities_see_two_classes():
    attack = tfr.attacks.PGD(LINF, steps=4)
    model = compiled(objective=tfr.objectives.TRADES(attack))
    loss = model.fit(X, Y, batch_size=40, verbose=0).history["loss"][0]
    # Were the softmax of one logit taken, the divergence would be 0.
    assert loss > np.mean(binary(X)) + 1e-3


def test_reports_and_certificates_are_those_of_two_classes():
    attack = tfr.attacks.PGD(LINF, steps=10)
    report = tfr.evaluate(linear(), (X, Y), {"pgd": attack}, verbose=0)
    assert report["clean"].accuracy == pytest.approx(right(X))
    assert report["pgd"].accuracy == pytest.approx(right(worst()))
    verifier = tfr.verifiers.CROWN(LINF)
    report = tfr.certify(compiled(), (X, Y), verifier, verbose=0)
    margin = (2 * Y - 1) * z(worst())
    correct = margin > 0
    assert report["worst case"].accuracy == pytest.approx(np.mean(correct))
    found = np.array(report.certificates["margin"], float)
    np.testing.assert_allclose(found[correct], margin[correct], atol=1e-4)


def test_arrays_are_attacked_with_and_without_labels():
    attack = tfr.attacks.PGD(LINF, steps=10)
    found = tfr.attack(linear(), X, Y, attack=attack)
    moved = (z(worst()) > 0) != (Y == 1)
    np.testing.assert_array_equal(found.success, moved)
    assert not tfr.attack(linear(), X, epsilon=1e-6).success.any()


def test_what_is_exported_has_two_logits(tmp_path):
    verifier = tfr.verifiers.CROWN(LINF)
    path = tfr.export(compiled(), tmp_path, certify=verifier, data=(X, Y))
    served = tf.saved_model.load(str(path)).signatures["serving_default"]
    found = served(image=tf.constant(X))
    logits = np.stack([np.zeros(40), z(X)], axis=1)
    np.testing.assert_allclose(found["logits"], logits, atol=1e-5)
    np.testing.assert_array_equal(found["class"], z(X) > 0)


def test_a_model_that_nobody_says_is_one_of_classes_is_not_exported(tmp_path):
    with pytest.raises(ValueError, match=r"tfr\.logits_of\(model\) makes two"):
        tfr.export(linear(), tmp_path)
    assert tfr.export(tfr.logits_of(linear()), tmp_path).exists()


def test_attacks_take_what_logits_of_makes():
    logits = tfr.logits_of(linear())
    np.testing.assert_allclose(logits(X)[:, 1], z(X), atol=1e-5)
    found = STEP.perturb(logits, X, Y)
    np.testing.assert_allclose(found, worst(), atol=1e-6)
    with pytest.raises(ValueError, match="logits_of"):
        STEP.perturb(linear(), X, Y)


def test_a_sigmoid_at_the_end_is_refused_where_losses_read_logits():
    model = tfr.RobustModel(linear("sigmoid"))
    with pytest.raises(ValueError, match="applies a sigmoid"):
        model.compile("sgd", loss=BINARY)
    model.compile("sgd", loss="mse", objective=tfr.objectives.Clean())


def test_the_model_of_two_logits_is_saved_and_shares_weights(tmp_path):
    network = linear()
    two = TwoLogits(network)
    two.save(tmp_path / "two.keras")
    loaded = keras.models.load_model(tmp_path / "two.keras")
    np.testing.assert_allclose(loaded(X), two(X))
    network.set_weights([0 * KERNEL, BIAS])
    assert np.allclose(two(X), [0.0, BIAS[0]])


def test_a_loaded_model_goes_on_alike(tmp_path):
    model = compiled()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    one, other = (m.evaluate(X, Y, verbose=0) for m in (model, loaded))
    np.testing.assert_allclose(one, other)
    assert model.output_shape == (None, 1) and model.input_shape == (None, 4)
