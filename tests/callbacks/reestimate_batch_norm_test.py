"""Statistics that fit the weights in use, and training that knows nothing."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.callbacks import SWA, ReestimateBatchNorm

RNG = np.random.default_rng(0)
X = RNG.random((20, 4), np.float32)
Y = np.arange(20) % 3
KERNEL = RNG.normal(size=(4, 5)).astype(np.float32)
LINF = tfr.threats.Linf(0.1)
BATCHES = [slice(0, 8), slice(8, 16), slice(16, 20)]


def network(*layers):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, use_bias=False),
            keras.layers.BatchNormalization(epsilon=0.01, name="norm"),
            *layers,
            keras.layers.Dense(3, name="last"),
        ]
    )


def compiled(**options):
    # Its attack reads the statistics, and dropout has a seed that moves.
    model = tfr.RobustModel(
        network(
            keras.layers.Activation("relu"), keras.layers.Dropout(0.3, seed=1)
        )
    )
    options = options or {"use_ema": True, "ema_momentum": 0.9}
    step = tfr.attacks.FGSM(LINF)
    model.compile(
        keras.optimizers.SGD(0.5, momentum=0.9, **options),
        objective=tfr.objectives.WorstCase(step),
    )
    return model


def fit(model, *callbacks, **options):
    return model.fit(
        X,
        Y,
        8,
        validation_data=(X, Y),
        verbose=0,
        shuffle=False,
        callbacks=list(callbacks),
        **{"epochs": 3, **options},
    ).history


def statistics(model):
    layer = getattr(model, "network", model).get_layer("norm")
    return np.array([layer.moving_mean, layer.moving_variance])


def by_hand(x, kernel):
    """Of batches of 8: the mean over examples of what their batch gives."""
    before = [x[rows].astype(np.float64) @ kernel for rows in BATCHES]
    sizes = [len(part) for part in before]
    found = [(part.mean(0), part.var(0)) for part in before]
    return np.average(found, axis=0, weights=sizes)


def assert_equal(ones, others):
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_array_equal(one, other)


def test_they_are_the_cumulative_average_of_what_the_batches_give():
    model = network()
    model.layers[0].set_weights([KERNEL])
    others = [np.array(v) for v in model.trainable_variables]
    ReestimateBatchNorm((X, Y), batch_size=8).reestimate(model)
    np.testing.assert_allclose(statistics(model), by_hand(X, KERNEL), rtol=1e-4)
    assert_equal(model.trainable_variables, others)
    # From here on training averages with the layer's momentum again.
    model(X, training=True)
    moved = 0.99 * by_hand(X, KERNEL)[0] + 0.01 * np.mean(X @ KERNEL, axis=0)
    np.testing.assert_allclose(statistics(model)[0], moved, rtol=1e-4)


def test_a_dataset_gives_what_its_arrays_give():
    one, two = network(), network()
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    ReestimateBatchNorm(data).reestimate(one)
    ReestimateBatchNorm((X, Y), batch_size=8).reestimate(two)
    np.testing.assert_array_equal(statistics(one), statistics(two))


def test_an_attack_moves_each_batch_under_the_statistics_so_far():
    model, twin = network(), network()
    attack = tfr.attacks.FGSM(LINF)
    ReestimateBatchNorm((X, Y), attack, batch_size=8).reestimate(model)
    kernel, moved, seen = twin.get_weights()[0], np.zeros_like(X), 0
    for rows in BATCHES:
        moved[rows] = attack.perturb(twin, X[rows], Y[rows])
        part, norm = moved[rows] @ kernel, twin.get_layer("norm")
        seen += len(part)
        share = len(part) / seen
        for value, now in (
            (norm.moving_mean, part.mean(0)),
            (norm.moving_variance, part.var(0)),
        ):
            value.assign((1 - share) * np.array(value) + share * now)
    np.testing.assert_allclose(statistics(model), statistics(twin), rtol=1e-4)
    assert np.max(np.abs(by_hand(X, kernel) - statistics(model))) > 0.01


class Look(keras.callbacks.Callback):
    """Notes all that training moves."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        variables = self.model.optimizer.variables
        variables = variables() if callable(variables) else variables
        state = [np.array(v) for v in self.model.network.variables]
        self.seen.append(state + [np.array(v) for v in variables])


def test_training_goes_on_bit_for_bit_as_without_it():
    with_it, without = Look(), Look()
    fit(compiled(), ReestimateBatchNorm((X, Y)), with_it)
    fit(compiled(), without)
    for one, other in zip(with_it.seen, without.seen, strict=True):
        assert_equal(one, other)


@pytest.mark.parametrize("averaging", ["ema", "swa"])
def test_validation_and_callbacks_get_those_of_the_averages(averaging):
    seen = []

    class Weights(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            with self.model.averaged():
                seen.append(statistics(self.model))
            kept = self.model.get_weights()
            np.testing.assert_array_equal(kept[3:5], seen[-1])
            np.testing.assert_allclose(
                seen[-1], by_hand(X, kept[0]), rtol=1e-3, atol=1e-5
            )
            trained = statistics(self.model)
            assert np.max(np.abs(trained - seen[-1])) > 0.01

    swa = averaging == "swa"
    model = compiled(use_ema=True, ema_momentum=1.0 if swa else 0.9)
    reestimate = ReestimateBatchNorm((X, Y), batch_size=8)
    history = fit(model, *[SWA(1)] * swa, reestimate, Weights())
    assert len(seen) == 3
    np.testing.assert_allclose(statistics(model), seen[-1], rtol=1e-5)
    loss = model.evaluate(X, Y, verbose=0)[0]
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-5)


def test_the_best_epoch_is_restored_as_it_was_validated():
    stop = keras.callbacks.EarlyStopping(
        "val_loss", patience=2, mode="max", restore_best_weights=True
    )
    model = compiled()
    history = fit(model, ReestimateBatchNorm((X, Y)), stop)["val_loss"]
    loss = model.evaluate(X, Y, verbose=0)[0]
    assert max(history) != history[-1]
    assert loss == pytest.approx(max(history), rel=1e-5)


def test_without_averages_they_are_those_of_the_weights_and_stay():
    model = compiled(use_ema=False)
    fit(model, ReestimateBatchNorm((X, Y), batch_size=8), epochs=1)
    kernel = model.get_weights()[0]
    np.testing.assert_allclose(
        statistics(model), by_hand(X, kernel), rtol=1e-3, atol=1e-5
    )


def test_a_file_of_the_midst_of_training_gets_its_own_by_hand(tmp_path):
    path = tmp_path / "first.keras"
    checkpoint = keras.callbacks.ModelCheckpoint(
        str(path), save_best_only=True, mode="max", monitor="val_loss"
    )
    reestimate = ReestimateBatchNorm((X, Y))
    history = fit(compiled(), reestimate, checkpoint)["val_loss"]
    model = keras.models.load_model(path)
    reestimate.reestimate(model)
    loss = model.evaluate(X, Y, verbose=0)[0]
    assert loss == pytest.approx(max(history), rel=1e-5)


def test_what_is_frozen_keeps_its_own():
    model = network(keras.layers.BatchNormalization(name="frozen"))
    model.get_layer("frozen").trainable = False
    ReestimateBatchNorm((X, Y)).reestimate(model)
    frozen = model.get_layer("frozen")
    np.testing.assert_array_equal(frozen.moving_mean, np.zeros(5))
    assert np.max(np.abs(statistics(model)[0])) > 0.01


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(ValueError, match="Received: batch_size=0"):
        ReestimateBatchNorm((X, Y), batch_size=0)
    with pytest.raises(TypeError, match="`data` must be a pair"):
        ReestimateBatchNorm(X)
    with pytest.raises(TypeError, match="`attack` must be an Attack"):
        ReestimateBatchNorm((X, Y), attack=LINF)
    with pytest.raises(ValueError, match="must not be targeted"):
        ReestimateBatchNorm((X, Y), tfr.attacks.FGSM(LINF, targeted=True))
    with pytest.raises(ValueError, match="at least one example"):
        ReestimateBatchNorm((X[:0], Y[:0])).reestimate(network())


def test_a_network_without_batch_normalisation_is_refused_before_training():
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model = tfr.RobustModel(plain)
    model.compile("sgd")
    with pytest.raises(ValueError, match="must have batch normalisation that"):
        fit(model, ReestimateBatchNorm((X, Y)))


def test_a_failure_leaves_the_momentum_of_training():
    model = network()
    bad = ReestimateBatchNorm((X[:, :2], Y))
    with contextlib.suppress(Exception):
        bad.reestimate(model)
    assert model.get_layer("norm").momentum == 0.99
