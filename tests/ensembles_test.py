"""Several networks as one model."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras


def network(seed, units=3, scale=1.0, shape=(4,)):
    keras.utils.set_random_seed(seed)
    layers = [
        keras.Input(shape),
        keras.layers.Flatten(),
        keras.layers.Dense(8, "relu"),
        keras.layers.Dense(units),
    ]
    model = keras.Sequential(layers)
    model.set_weights([scale * weight for weight in model.get_weights()])
    return model


@pytest.fixture(name="members")
def _members():
    return [network(seed) for seed in range(3)]


@pytest.fixture(name="x")
def _x():
    return np.random.default_rng(0).uniform(size=(16, 4)).astype(np.float32)


def test_probabilities_are_the_mean_of_the_members(members, x):
    expected = np.mean([tf.nn.softmax(m(x)) for m in members], axis=0)
    logits = tfr.ensemble(members)(x)
    np.testing.assert_allclose(tf.nn.softmax(logits), expected, atol=1e-6)
    np.testing.assert_allclose(tf.exp(logits), expected, atol=1e-6)


def test_logits_of_sure_members_neither_overflow_nor_vanish(x):
    sure = [network(seed, scale=30.0) for seed in range(2)]
    logits = [np.float64(member(x)) for member in sure]
    assert np.max(np.abs(logits)) > 1e3
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = tfr.ensemble(sure)(x)
    highest = np.max(logits, axis=2, keepdims=True)
    norms = np.log(np.sum(np.exp(logits - highest), axis=2, keepdims=True))
    expected = np.logaddexp(*(logits - highest - norms)) - np.log(2)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)
    gradient = tape.gradient(found, x)
    assert np.all(np.isfinite(gradient))
    assert np.all(np.any(gradient != 0, axis=1))


def test_an_ensemble_is_attacked_and_evaluated_as_one(members, x):
    model = tfr.ensemble(members)
    y = np.argmax(model(x), axis=1)
    attack = tfr.attacks.PGD(tfr.threats.Linf(0.2), steps=5)
    worst = attack.perturb(model, tf.constant(x), tf.constant(y))
    assert np.max(np.abs(worst - x)) <= 0.2 + 1e-6
    report = tfr.evaluate(model, (x, y), {"pgd": attack})
    assert report["clean"].accuracy == 1
    assert report["pgd"].accuracy < 1


@pytest.mark.parametrize("verifier", ["IBP", "CROWN"])
def test_an_ensemble_is_certified_as_one(members, x, verifier):
    model = tfr.ensemble(members)
    y, each = np.argmax(model(x), axis=1), np.arange(16)
    linf = tfr.threats.Linf(0.02)
    margins = getattr(tfr.verifiers, verifier)(linf).margins(model, x, y)
    for seed in range(50):
        logits = np.asarray(model(linf.sample(tf.constant(x), seed)))
        assert np.all(margins <= logits[each, y][:, np.newaxis] - logits + 1e-6)
    if verifier == "CROWN":
        logits = np.asarray(model(x))
        slack = logits[each, y][:, np.newaxis] - logits - margins
        assert np.max(slack) < 0.2


def test_training_moves_every_member(members, x):
    y = np.arange(16) % 3
    before = [member.get_weights()[0] for member in members]
    model = tfr.RobustModel(tfr.ensemble(members))
    linf = tfr.threats.Linf(0.1)
    model.compile(
        keras.optimizers.SGD(0.1),
        objective=tfr.objectives.WorstCase(tfr.attacks.PGD(linf, steps=2)),
    )
    model.fit(x, y, verbose=0)
    for member, weight in zip(members, before, strict=True):
        assert np.any(member.get_weights()[0] != weight)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_saved_ensemble_is_loaded_whole(members, x, wrapped, tmp_path):
    if wrapped:
        members = [tfr.RobustModel(member) for member in members]
    model = tfr.ensemble(members, name="periods")
    model.save(tmp_path / "periods.keras")
    loaded = keras.models.load_model(tmp_path / "periods.keras")
    assert loaded.name == "periods"
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-6)


def test_members_of_one_name_are_told_apart(x):
    members = [network(0), network(1)]
    for member in members:
        member._name = "one"  # As two files of two sessions would give it.
    model = tfr.ensemble(members)
    assert not np.allclose(model(x), members[0](x))


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (lambda a: [a], "at least two"),
        (lambda a: [a, a], "at least two, each another"),
        (lambda a: [a, tfr.RobustModel(a)], "each another"),
        (lambda a: [a, network(1, units=4)], "same classes"),
        (lambda a: [a, network(1, shape=(5,))], "same input"),
        (lambda a: [network(1, units=1), network(2, units=1)], "at least two"),
    ],
)
def test_members_that_make_no_ensemble_are_refused(models, message):
    with pytest.raises(ValueError, match=message):
        tfr.ensemble(models(network(0)))


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="Keras model"):
        tfr.ensemble([network(0), "network.keras"])
