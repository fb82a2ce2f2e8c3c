"""Stages of density: which, when, and after a restart."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tests.compression.conftest import tf_keras_only
from tfrobust.backend import keras
from tfrobust.callbacks import GradualDensity
from tfrobust.compression import layer_densities, subnetwork

RNG = np.random.default_rng(0)
X, Y = RNG.random((16, 12), np.float32), np.arange(16) % 3
SIZES = [12 * 20, 20 * 3]


def network(density=0.0625):
    model = keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(20, activation="relu"),
            keras.layers.Dense(3),
        ]
    )
    return subnetwork(model, density)


class Counted(tfr.RobustModel):
    """Counts how often its training step is traced."""

    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)


def compiled(model_class=Counted):
    model = model_class(network())
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    return model


class Kept(keras.callbacks.Callback):
    """Notes how many weights each layer keeps in each epoch."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def on_epoch_end(self, epoch, logs=None):
        layers = self.model.network.layers
        self.rows.append(
            [np.count_nonzero(x.kernel) for x in layers if hasattr(x, "scores")]
        )


def test_each_stage_keeps_its_share_and_is_traced_once():
    model, kept = compiled(), Kept()
    gradual = GradualDensity(0.0625, stages=2, p=0.5)
    model.fit(X, Y, 8, epochs=4, verbose=0, callbacks=[gradual, kept])
    for rows, density in ((kept.rows[:2], 0.25), (kept.rows[2:], 0.0625)):
        shares = layer_densities(SIZES, density, p=0.5)
        expected = [
            size - int((1 - share) * size)
            for size, share in zip(SIZES, shares, strict=True)
        ]
        assert rows == [expected, expected]
    single = compiled()
    single.fit(X, Y, 8, epochs=1, verbose=0)
    assert model.traces == single.traces + 1


def test_what_is_trained_and_evaluated_is_the_network_of_the_stage():
    model = compiled()
    model.evaluate(X, Y, verbose=0)
    model.predict(X, verbose=0)
    gradual = GradualDensity(0.0625, stages=1, p=0.0)
    model.fit(X, Y, 8, epochs=1, verbose=0, callbacks=[gradual])
    logits = np.asarray(model.network(X, training=False))
    np.testing.assert_allclose(model.predict(X, verbose=0), logits, atol=1e-6)
    layers = [x for x in model.network.layers if hasattr(x, "density")]
    assert [x.density for x in layers] == layer_densities(SIZES, 0.0625, 0.0)


def backed_up(folder, *callbacks):
    """Trains a new model for four epochs, from the folder's backup if any."""
    model = compiled(tfr.RobustModel)
    callbacks = [
        keras.callbacks.BackupAndRestore(str(folder), delete_checkpoint=False),
        GradualDensity(0.0625, stages=2),
        *callbacks,
    ]
    model.fit(X, Y, 8, 4, verbose=0, shuffle=False, callbacks=callbacks)
    return model.network


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The network of a run that was not interrupted."""
    return backed_up(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_training_goes_on_in_the_stage_that_it_was_in(whole, stop, tmp_path):
    class Killed(Exception):
        pass

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == stop:
                raise Killed

    with pytest.raises(Killed):
        backed_up(tmp_path, Kill())
    resumed = backed_up(tmp_path)
    for one, two in zip(
        whole.get_weights(), resumed.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(whole(X), resumed(X))


def test_a_saved_model_has_the_density_of_its_time(tmp_path):
    model = compiled(tfr.RobustModel)
    path = tmp_path / "{epoch}.keras"
    callbacks = [
        GradualDensity(0.0625, stages=2),
        keras.callbacks.ModelCheckpoint(str(path)),
    ]
    model.fit(X, Y, 8, epochs=2, verbose=0, callbacks=callbacks)
    kept = []
    for epoch in (1, 2):
        loaded = keras.models.load_model(tmp_path / f"{epoch}.keras")
        layers = [x for x in loaded.network.layers if hasattr(x, "scores")]
        kept.append(sum(np.count_nonzero(x.kernel) for x in layers))
    assert kept == [pytest.approx(0.25 * 300, abs=2), pytest.approx(19, abs=2)]


@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_best_of_a_denser_stage_is_forgotten(mode, tmp_path):
    class Worse(keras.callbacks.Callback):
        """Makes every epoch worse than the one before."""

        def on_epoch_end(self, epoch, logs=None):
            logs["value"] = -epoch if mode == "max" else epoch

    checkpoint = keras.callbacks.ModelCheckpoint(
        str(tmp_path / "{epoch}.keras"), "value", mode=mode, save_best_only=True
    )
    gradual = GradualDensity(0.0625, stages=2, checkpoint=checkpoint)
    compiled(tfr.RobustModel).fit(
        X, Y, 8, epochs=4, verbose=0, callbacks=[Worse(), checkpoint, gradual]
    )
    assert {path.name for path in tmp_path.iterdir()} == {"1.keras", "3.keras"}


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(ValueError, match=r"in \(0, 1\]. Received: density=0"):
        GradualDensity(0, stages=2)
    with pytest.raises(ValueError, match="Received: stages=0"):
        GradualDensity(0.1, stages=0)
    with pytest.raises(ValueError, match="epochs=1 and stages=2"):
        compiled().fit(
            X, Y, verbose=0, callbacks=[GradualDensity(0.1, stages=2)]
        )
    dense = keras.Sequential([keras.Input((12,)), keras.layers.Dense(3)])
    model = tfr.RobustModel(dense)
    model.compile("sgd")
    with pytest.raises(ValueError, match="must have sparse binary layers"):
        model.fit(X, Y, verbose=0, callbacks=[GradualDensity(0.1, stages=1)])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("density", float("nan")),
        ("density", "0.1"),
        ("stages", 1.5),
        ("stages", True),
        ("p", -0.1),
        ("p", None),
        ("checkpoint", "best.keras"),
    ],
)
def test_an_argument_of_the_wrong_kind_is_refused_at_once(name, value):
    arguments = {"density": 0.1, "stages": 2} | {name: value}
    with pytest.raises(ValueError, match=f"`{name}` must .* Received: {name}="):
        GradualDensity(**arguments)


def test_an_impossible_last_stage_is_refused_before_the_first():
    model = compiled()
    before = model.get_weights()
    gradual = GradualDensity(1e-6, stages=4)
    with pytest.raises(ValueError, match="at least one weight in each layer"):
        model.fit(X, Y, 8, epochs=4, verbose=0, callbacks=[gradual])
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@tf_keras_only  # Keras 3 builds the network first.
def test_a_network_without_weights_yet_is_refused():
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    layer = tfr.layers.SparseBinaryDense(3, name="late")
    model = tfr.RobustModel(keras.Sequential([layer]))
    model.compile("sgd")
    with pytest.raises(ValueError, match="aren't: late. Call it once"):
        model.fit(data, verbose=0, callbacks=[GradualDensity(0.1, stages=1)])
