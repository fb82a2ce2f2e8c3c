"""Every output of every signature is compared with the original's."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.exporting.served_network import ServedNetwork

X = np.random.default_rng(0).random((7, 4, 4, 1), np.float32)
LINF = tfr.threats.Linf(0.01)
CROWN = tfr.verifiers.CROWN(LINF)


class Every(tfr.Verifier):
    """Certifies every other input."""

    def __init__(self, threat=LINF):
        self.threat = threat

    def margins(self, model, x, y):
        answers = tf.cast(model(x, training=False), tf.float32)
        odd = tf.cast(tf.range(tf.shape(x)[0]) % 2, tf.float32)
        own = tf.one_hot(y, 3)
        return (1 - own) * (odd[:, tf.newaxis] - 0.5) + 0 * answers


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )


@pytest.mark.parametrize(
    ("method", "output", "wrong", "words"),
    [
        ("_predicted", "logits", lambda v: v + 0.1, "logits"),
        ("_predicted", "probabilities", lambda v: v * 1.01, "probabilities"),
        ("_predicted", "class", lambda v: 2 - v, "classes"),
        ("_bounded", "margin", lambda v: v + 0.1, "certified margins"),
        ("_bounded", "margin", lambda v: v * 0 - np.inf, "certified margins"),
        ("_bounded", "certified", tf.ones_like, "certificates"),
        ("_bounded", "class", lambda v: v * 0 - 1, "certified classes"),
        ("_bounded", "epsilon", lambda v: v / 2, "epsilon"),
        ("_predicted_or_abstained", "class", lambda v: v * 0, "classes or"),
    ],
)
def test_no_output_of_any_signature_may_differ(
    tmp_path, monkeypatch, method, output, wrong, words
):
    right = getattr(ServedNetwork, method)

    def answered(self, x):
        found = right(self, x)
        return {**found, output: wrong(found[output])}

    tfr.export(network(), tmp_path / "right", certify=Every())
    monkeypatch.setattr(ServedNetwork, method, answered)
    with pytest.raises(ValueError, match=f"in its {words}.*it was not kept"):
        tfr.export(network(), tmp_path / "wrong", certify=Every())
    assert [path.name for path in tmp_path.iterdir()] == ["right"]


def normalized():
    normalize = keras.layers.Normalization()
    normalize.adapt(7 * X + 3)
    layers = [normalize, keras.layers.Flatten(), keras.layers.Dense(3)]
    return keras.Sequential([keras.Input((4, 4, 1)), *layers])


def of_operators():
    x = keras.Input((4, 4, 1))
    h = keras.layers.Flatten()(2 * x - 1)
    one, two = (keras.layers.Dense(8)(h) for _ in range(2))
    total = one + two
    nonlinear = keras.ops.relu if hasattr(keras, "ops") else tf.nn.relu
    return keras.Model(x, keras.layers.Dense(3)(nonlinear(total) / 2))


@pytest.mark.parametrize("build", [normalized, of_operators])
def test_statistics_and_operators_are_exported_and_certified(tmp_path, build):
    model = build()
    y = np.argmax(model(X, training=False), axis=1)
    path = tfr.export(model, tmp_path, certify=CROWN, data=(X, y))
    served = tf.saved_model.load(str(path)).signatures
    np.testing.assert_allclose(
        served["serving_default"](image=X)["logits"],
        model(X, training=False),
        rtol=1e-4,
        atol=1e-5,
    )
    margins = np.array(CROWN.margins(model, tf.constant(X), y))
    np.put_along_axis(margins, y[:, np.newaxis], np.inf, axis=1)
    np.testing.assert_allclose(
        served["certify"](image=X)["margin"],
        margins.min(axis=1),
        rtol=1e-3,
        atol=1e-4,
    )


def test_a_robust_model_is_certified_where_and_as_far_as_its_threat_reaches(
    tmp_path,
):
    network_ = network()
    kernel = np.zeros([16, 3], np.float32)
    kernel[0, 0], kernel[1, 1], kernel[2, 2] = 1, 1, 1
    network_.set_weights([kernel, np.zeros(3, np.float32)])
    model = tfr.RobustModel(network_)
    epsilon = np.full([4, 4, 1], 0.5, np.float32)
    epsilon[0, :3, 0] = 0.1, 0.3, 9.0
    mask = np.ones([4, 4, 1], np.float32)
    mask[0, 2, 0] = 0
    threat = tfr.threats.Linf(epsilon, low=-1.0, high=2.0, mask=mask)
    x = np.zeros([3, 4, 4, 1], np.float32)
    # The margins are x0 - x1 - 0.1 - 0.3 and x0 - x2 - 0.1, and x0 goes no
    # lower than -1 and x1 no higher than 2.
    x[0, 0, :3, 0] = 1.0, 0.5, 0.7
    x[1, 0, :3, 0] = 1.0, 0.7, 0.0
    x[2, 0, :3, 0] = 2.0, 1.9, -1.0
    path = tfr.export(
        model, tmp_path, certify=tfr.verifiers.IBP(threat), data=(x, [0] * 3)
    )
    found = tf.saved_model.load(str(path)).signatures["certify"](image=x)
    np.testing.assert_allclose(found["margin"], [0.1, -0.1, -0.1], atol=1e-4)
    np.testing.assert_array_equal(found["certified"], [True, False, False])
    np.testing.assert_array_equal(found["epsilon"], [9.0] * 3)
    card = json.loads((path / "robustness_card.json").read_text())
    assert card["artefact"]["certified_accuracy"] == pytest.approx(1 / 3)
    assert card["artefact"]["attack_accuracy"] == pytest.approx(1 / 3)


def test_threats_are_told_apart_by_every_entry_of_a_mask(tmp_path):
    """An attack elsewhere refutes nothing, however alike it looks."""
    x = np.full([1, 40, 40, 1], 0.5, np.float32)
    inputs = keras.Input((40, 40, 1))
    dense = keras.layers.Dense(2)
    model = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
    kernel = np.zeros([1600, 2], np.float32)
    kernel[800] = 1, -1
    dense.set_weights([kernel, np.float32([-0.45, 0.45])])
    here, there = np.zeros([2, 40, 40, 1], np.float32)
    here.reshape(-1)[801], there.reshape(-1)[800] = 1, 1
    threats = [tfr.threats.Linf(0.4, mask=mask) for mask in (here, there)]
    assert repr(threats[0]) == repr(threats[1])
    path = tfr.export(
        model,
        tmp_path,
        certify=tfr.verifiers.IBP(threats[0]),
        data=(x, [0]),
        attack=tfr.attacks.PGD(threats[1]),
    )
    card = json.loads((path / "robustness_card.json").read_text())
    assert card["artefact"]["attack_accuracy"] == 0
    assert card["artefact"]["certified_accuracy"] == 1
