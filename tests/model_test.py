"""RobustModel trains, evaluates and logs as any Keras model does."""

import re

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust import backend
from tfrobust.backend import keras

EPSILON = 0.1
LINF = tfr.threats.Linf(EPSILON)
KEYS = {"loss", "accuracy", "pgd1_accuracy"}
KEYS |= {"val_loss", "val_accuracy", "val_pgd_accuracy"}
# One step of full length from x: on a linear network, the exact worst case.
STEP = tfr.attacks.PGD(LINF, steps=1, step_size=1.0, random_start=0.0)
RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(0.2, 0.8, (20, 4)).astype("float32")
Y = RANDOM.integers(0, 3, 20)
WEIGHTS = RANDOM.uniform(0.0, 2.0, 20).astype("float32")
KERNEL = 3 * RANDOM.normal(size=(4, 3)).astype("float32")


def compiled(network, rate=0.0, **options):
    """A model whose rate 0 leaves the weights, and so the numbers, alone."""
    model = tfr.RobustModel(network)
    model.compile(
        keras.optimizers.SGD(rate),
        objective=tfr.objectives.WorstCase(STEP),
        adversaries={"pgd": STEP},
        **options,
    )
    return model


def linear():
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    network.set_weights([KERNEL, np.zeros(3, "float32")])
    return network


def worst(x, y):
    """The exact worst points for the linear network."""
    slope = softmax(x @ KERNEL) - np.eye(3)[y]
    return x + EPSILON * np.sign(slope @ KERNEL.T)


def softmax(logits):
    return np.exp(logits) / np.sum(np.exp(logits), axis=1, keepdims=True)


def losses(x):
    return -np.log(softmax(x @ KERNEL)[np.arange(len(Y)), Y])


def accuracy(x):
    return np.mean(np.argmax(x @ KERNEL, axis=1) == Y)


def expected(weights=1.0):
    """The logs of an epoch on X, Y that is validated on X, Y, by hand."""
    attacked = worst(X, Y)
    return {
        "loss": np.mean(weights * losses(attacked)),
        "accuracy": accuracy(X),
        "pgd1_accuracy": accuracy(attacked),
        "val_loss": np.mean(losses(X)),
        "val_accuracy": accuracy(X),
        "val_pgd_accuracy": accuracy(attacked),
    }


def dataset(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(8)


class Batches(
    keras.utils.Sequence if backend.LEGACY else keras.utils.PyDataset
):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(8 * index, 8 * index + 8)
        return X[rows], Y[rows]


def fitted(model, *data, validation=(X, Y), **options):
    """The logs of one epoch."""
    history = model.fit(
        *data, validation_data=validation, verbose=0, **options
    ).history
    assert set(history) == KEYS
    return {name: values[-1] for name, values in history.items()}


def test_arrays_datasets_and_generators_log_what_is_computed_by_hand():
    assert 0 < accuracy(worst(X, Y)) < accuracy(X) < 1
    model = compiled(linear())
    close = pytest.approx(expected(), rel=1e-5)
    assert fitted(model, X, Y, batch_size=8) == close
    assert fitted(model, dataset(X, Y), validation=dataset(X, Y)) == close
    assert fitted(model, Batches(), validation=Batches()) == close
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    by_order = model.evaluate(X, Y, verbose=0)
    assert by_order == [logs["loss"], logs["accuracy"], logs["pgd_accuracy"]]
    for data in (X, dataset(X, Y), Batches()):
        logits = model.predict(data, verbose=0)
        np.testing.assert_allclose(logits, X @ KERNEL, rtol=1e-5)


def test_sample_and_class_weights_scale_the_loss_and_no_accuracy():
    model = compiled(linear())
    weighted = pytest.approx(expected(WEIGHTS), rel=1e-5)
    assert fitted(model, X, Y, sample_weight=WEIGHTS) == weighted
    assert fitted(model, dataset(X, Y, WEIGHTS)) == weighted
    classes = {0: 0.5, 1: 2.0, 2: 3.0}
    weights = np.array([classes[label] for label in Y])
    logs = fitted(model, X, Y, class_weight=classes)
    assert logs == pytest.approx(expected(weights), rel=1e-5)
    loss = model.evaluate(X, Y, sample_weight=WEIGHTS, verbose=0)[0]
    assert loss == pytest.approx(np.mean(WEIGHTS * losses(X)), rel=1e-5)


def test_a_step_descends_the_weighted_mean_loss_at_the_worst_points():
    model = compiled(linear(), rate=0.5)
    logs = fitted(model, X, Y, batch_size=20, sample_weight=WEIGHTS)
    points = worst(X, Y)
    slope = WEIGHTS[:, None] * (softmax(points @ KERNEL) - np.eye(3)[Y])
    kernel, bias = model.network.get_weights()
    by_hand = KERNEL - 0.5 * points.T @ slope / 20
    np.testing.assert_allclose(kernel, by_hand, atol=1e-6)
    np.testing.assert_allclose(bias, -0.5 * np.mean(slope, 0), atol=1e-6)
    # What is logged is what the step saw: the weights before the update.
    for name in ("loss", "accuracy", "pgd1_accuracy"):
        assert logs[name] == pytest.approx(expected(WEIGHTS)[name], rel=1e-5)


@pytest.mark.parametrize(
    "options", [{"run_eagerly": True}, {"steps_per_execution": 2}]
)
def test_the_way_of_execution_does_not_change_the_logs(options):
    model = compiled(linear(), **options)
    logs = fitted(model, X, Y, batch_size=8)
    assert logs == pytest.approx(expected(), rel=1e-5)


def test_a_validation_split_is_evaluated():
    model = compiled(linear())
    logs = model.fit(X, Y, validation_split=0.5, verbose=0).history
    assert set(logs) == KEYS
    assert logs["val_loss"][0] == pytest.approx(np.mean(losses(X)[10:]), 1e-5)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = keras.layers.Dense(5, activation="relu")
        self.head = keras.layers.Dense(3)

    def call(self, inputs, training=False):
        return self.head(self.hidden(inputs))


def functional():
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(3)(inputs))


def called():
    network = Subclassed()
    network(X[:1])
    return network


def unbuilt():
    return keras.Sequential([keras.layers.Dense(3)])


@pytest.mark.parametrize(
    "network", [functional, linear, unbuilt, Subclassed, called]
)
def test_every_kind_of_network_learns_predicts_and_has_a_summary(
    network, capsys
):
    model = compiled(network(), rate=0.5)
    # From a dataset: an array would build the network before the first step.
    logs = model.fit(dataset(X, Y), epochs=9, verbose=0).history
    assert logs["loss"][-1] < logs["loss"][0]
    assert model.predict(X, verbose=0).shape == (20, 3)
    model.summary()
    assert "dense" in capsys.readouterr().out


def test_one_progress_bar_is_printed_and_nothing_else(capfd):
    model = compiled(linear())
    capfd.readouterr()
    model.fit(
        X,
        Y,
        batch_size=8,
        epochs=2,
        sample_weight=WEIGHTS,
        validation_data=(X, Y, WEIGHTS),
    )
    printed = capfd.readouterr()
    text = re.sub("\x1b\\[[0-9;]*m", "", printed.out)
    segments = [part.strip() for part in re.split("[\n\r\b]+", text)]
    segments = [part for part in segments if part]
    epochs = [part for part in segments if part.startswith("Epoch")]
    assert epochs == ["Epoch 1/2", "Epoch 2/2"]
    assert all(re.match("Epoch|[123]/3 ", part) for part in segments)
    assert printed.err == ""


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_an_uncompiled_model_is_refused_in_one_sentence(method):
    with pytest.raises(RuntimeError, match="must be compiled before it is"):
        getattr(tfr.RobustModel(linear()), method)(X, Y)


def test_metrics_that_would_be_ignored_are_refused():
    with pytest.raises(TypeError, match="weighted_metrics"):
        compiled(linear(), weighted_metrics=["accuracy"])


def test_the_logs_name_training_and_evaluation_adversaries_apart():
    model = tfr.RobustModel(linear())
    model.compile(
        "sgd",
        objective=tfr.objectives.TRADES(tfr.attacks.PGD(LINF, steps=1)),
        adversaries={"fgsm": tfr.attacks.FGSM(LINF)},
    )
    logs = model.fit(X, Y, validation_data=(X, Y), verbose=0).history
    train = {"loss", "accuracy", "pgd1_accuracy"}
    assert set(logs) == train | {
        "val_loss",
        "val_accuracy",
        "val_fgsm_accuracy",
    }


@pytest.mark.parametrize(
    "adversaries, names",
    [
        (STEP, ["pgd1"]),
        ([tfr.verifiers.CROWN(LINF), STEP], ["crown", "pgd1"]),
        ((STEP, STEP), ["pgd1", "pgd1-2"]),
    ],
)
def test_adversaries_without_names_are_named_after_kinds_and_steps(
    adversaries, names, tmp_path
):
    model = tfr.RobustModel(linear())
    model.compile("sgd", adversaries=adversaries)
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "accuracy"} | {f"{n}_accuracy" for n in names}
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert copy.evaluate(X, Y, verbose=0, return_dict=True) == logs
