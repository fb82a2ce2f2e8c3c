"""RobustModel with every kind of loss, and the metrics that go with it."""

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.backend import keras

EPSILON = 0.1
LINF = tfr.threats.Linf(EPSILON)
RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(0.2, 0.8, (20, 4)).astype("float32")
Y = RANDOM.integers(0, 3, 20)
ONE_HOT = np.eye(3, dtype="float32")[Y]
KERNEL = 3 * RANDOM.normal(size=(4, 3)).astype("float32")
SPARSE = keras.losses.SparseCategoricalCrossentropy
CATEGORICAL = keras.losses.CategoricalCrossentropy


def logged(kernel, y, loss, attacked, adversary=True, **options):
    """The logs of one epoch that changes no weight, and the model."""
    network = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(len(kernel.T))]
    )
    network.set_weights([kernel, np.zeros(len(kernel.T), "float32")])
    step = tfr.attacks.PGD(
        LINF, steps=1, step_size=1.0, random_start=0.0, loss=attacked
    )
    model = tfr.RobustModel(network)
    model.compile(
        keras.optimizers.SGD(0.0),
        loss=loss,
        objective=tfr.objectives.WorstCase(step),
        adversaries={"pgd": step},
        run_eagerly=True,
        **options,
    )
    history = model.fit(X, y, batch_size=20, verbose=0, validation_data=(X, y))
    return {name: values[0] for name, values in history.history.items()}


def probabilities(x):
    powers = np.exp(x @ KERNEL)
    return powers / np.sum(powers, axis=1, keepdims=True)


WORST = X + EPSILON * np.sign((probabilities(X) - ONE_HOT) @ KERNEL.T)


def entropy(x, smoothing=0.0):
    target = (1 - smoothing) * ONE_HOT + smoothing / 3
    return np.mean(-np.sum(target * np.log(probabilities(x)), axis=1))


def margin(x):
    logits = x @ KERNEL
    true = np.sum(ONE_HOT * logits, axis=1)
    return np.mean(np.max(logits - 1e9 * ONE_HOT, axis=1) - true)


def ratio(x):
    logits = np.sort(x @ KERNEL, axis=1)
    true = np.sum(ONE_HOT * (x @ KERNEL), axis=1)
    other = np.max(x @ KERNEL - 1e9 * ONE_HOT, axis=1)
    return np.mean((other - true) / (logits[:, 2] - logits[:, 0]))


@pytest.mark.parametrize(
    "loss, y, attacked, by_hand",
    [
        (None, Y, "cross_entropy", entropy),
        ("cross_entropy", Y[:, np.newaxis], "cross_entropy", entropy),
        (SPARSE(from_logits=True), Y, SPARSE(from_logits=True), entropy),
        (
            CATEGORICAL(from_logits=True),
            ONE_HOT,
            CATEGORICAL(from_logits=True),
            entropy,
        ),
        (tfr.losses.Margin(), Y, "cross_entropy", margin),
        (tfr.losses.DLR(), Y, "cross_entropy", ratio),
        (
            tfr.losses.CrossEntropy(label_smoothing=0.3),
            Y,
            "cross_entropy",
            lambda x: entropy(x, 0.3),
        ),
    ],
    ids="default name sparse categorical margin dlr smoothing".split(),
)
def test_a_loss_on_logits_and_its_accuracies_are_those_by_hand(
    loss, y, attacked, by_hand
):
    logs = logged(KERNEL, y, loss, attacked)
    accuracy = np.mean(np.argmax(X @ KERNEL, axis=1) == Y)
    robust = np.mean(np.argmax(WORST @ KERNEL, axis=1) == Y)
    assert logs == pytest.approx(
        {
            "loss": by_hand(WORST),
            "accuracy": accuracy,
            "pgd1_accuracy": robust,
            "val_loss": by_hand(X),
            "val_accuracy": accuracy,
            "val_pgd_accuracy": robust,
        },
        rel=1e-4,
    )


TARGETS = X @ np.ones((4, 1), "float32") + 0.5
SQUARED = keras.losses.MeanSquaredError()
# The output is the mean feature: every feature below it widens the error.
MEAN = np.full((4, 1), 0.25, "float32")


@pytest.mark.parametrize(
    "metrics, name, power",
    [
        (None, "loss", 2),
        (["mean_absolute_error"], "mean_absolute_error", 1),
        ([keras.metrics.MeanSquaredError(name="mse")], "mse", 2),
    ],
)
def test_a_regression_reports_its_loss_or_the_given_metrics(
    metrics, name, power
):
    logs = logged(MEAN, TARGETS, SQUARED, SQUARED, metrics=metrics)
    gap = TARGETS - X @ MEAN
    assert np.min(gap) > 0
    assert logs["val_loss"] == pytest.approx(np.mean(gap**2), rel=1e-4)
    assert logs["loss"] == pytest.approx(
        np.mean((gap + EPSILON) ** 2), rel=1e-4
    )
    for prefix in ("pgd1_", "val_pgd_"):
        robust = np.mean((gap + EPSILON) ** power)
        assert logs[prefix + name] == pytest.approx(robust, rel=1e-4)
    if metrics:
        assert logs[name] == pytest.approx(np.mean(gap**power), rel=1e-4)


def top_class(y, logits):
    return keras.metrics.sparse_categorical_accuracy(y, logits)


def test_metrics_are_strings_objects_or_functions_of_logits():
    second = keras.metrics.SparseTopKCategoricalAccuracy(2, name="second")
    logs = logged(KERNEL, Y, None, "margin", metrics=["acc", second, top_class])
    ranks = np.sum(X @ KERNEL > np.sum(ONE_HOT * (X @ KERNEL), 1)[:, None], 1)
    assert logs["accuracy"] == pytest.approx(np.mean(ranks < 1))
    assert logs["top_class"] == logs["accuracy"]
    assert logs["second"] == pytest.approx(np.mean(ranks < 2))
    assert logs["pgd1_top_class"] == logs["pgd1_accuracy"] < logs["accuracy"]
    assert logs["pgd1_accuracy"] < logs["pgd1_second"] < 1


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        "categorical_crossentropy",
        SPARSE(),
        CATEGORICAL(),
    ],
)
def test_a_loss_of_probabilities_is_refused(loss):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="must read logits"):
        tfr.RobustModel(network).compile("adam", loss=loss)


def penalised():
    keras.utils.set_random_seed(0)
    hidden = keras.layers.Dense(
        5,
        kernel_regularizer=keras.regularizers.L2(0.1),
        activity_regularizer=keras.regularizers.L2(0.3),
    )
    return keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(3)])


def test_the_losses_hold_the_penalties_of_layers_as_in_keras():
    plain = penalised()
    plain.compile(keras.optimizers.SGD(0.0), SPARSE(from_logits=True))
    model = tfr.RobustModel(penalised())
    adversaries = {"pgd": tfr.attacks.PGD(LINF, steps=1)}
    model.compile(keras.optimizers.SGD(0.0), adversaries=adversaries)
    expected, found = (
        each.fit(
            X, Y, batch_size=8, verbose=0, shuffle=False, validation_data=(X, Y)
        ).history
        for each in (plain, model)
    )
    for name in ("loss", "val_loss"):
        assert found[name] == pytest.approx(expected[name], rel=1e-5)


BITS = (Y > 0).astype("float32")
BINARY = keras.losses.BinaryCrossentropy(from_logits=True)
HINGE = keras.losses.CategoricalHinge()


@pytest.mark.parametrize("y", [BITS, BITS[:, np.newaxis]])
@pytest.mark.parametrize("metrics", [None, "accuracy"])
def test_one_logit_has_an_accuracy_at_the_threshold_0(y, metrics):
    kernel = KERNEL[:, :1] - np.mean(X @ KERNEL[:, :1]) / np.mean(X) / 4
    logs = logged(kernel, y, BINARY, BINARY, metrics=metrics)
    logits = (X @ kernel)[:, 0]
    sign = np.where(BITS > 0, 1, -1)
    assert logs["accuracy"] == pytest.approx(np.mean(sign * logits > 0))
    robust = sign * logits - EPSILON * np.sum(np.abs(kernel)) > 0
    assert logs["val_pgd_accuracy"] == pytest.approx(np.mean(robust))
    assert 0 < logs["pgd1_accuracy"] < logs["accuracy"] < 1


def test_no_number_is_right_about_a_bit():
    logs = logged(np.full((4, 1), np.nan), BITS, BINARY, BINARY)
    assert logs["val_accuracy"] == logs["val_pgd_accuracy"] == 0


def test_accuracy_goes_with_a_hinge_of_one_hot_labels():
    logs = logged(KERNEL, ONE_HOT, HINGE, HINGE, metrics=["accuracy"])
    accuracy = np.mean(np.argmax(X @ KERNEL, axis=1) == Y)
    assert logs["accuracy"] == pytest.approx(accuracy)


@pytest.mark.parametrize("loss", ["mse", SQUARED])
def test_targets_without_a_column_are_those_of_the_column(loss):
    flat, column = (
        logged(MEAN, y, loss, loss, metrics=["mae"])
        for y in (TARGETS[:, 0], TARGETS)
    )
    assert flat == pytest.approx(column, rel=1e-6)


def squares(y, outputs):
    return np.sum(outputs**2, axis=-1)


@pytest.mark.parametrize(
    "options, error, sentence",
    [
        (
            {"metrics": ["accuracy"], "loss": "mse"},
            ValueError,
            "needs a loss that tells which labels",
        ),
        (
            {"metrics": ["accuracy"], "loss": squares},
            ValueError,
            "needs a loss that tells which labels",
        ),
        ({"metrics": ["accurcy"]}, ValueError, "`metrics` must be names in"),
        ({"metrics": {"a": "accuracy"}}, TypeError, "`metrics` must be a list"),
        ({"weighted_metrics": ["mse"]}, TypeError, "`weighted_metrics` would"),
        ({"loss_weights": 2.0}, TypeError, "`loss_weights` would"),
        ({"metrics": ["accuracy", "acc"]}, ValueError, "several named 'accu"),
        (
            {"metrics": [keras.metrics.SparseCategoricalAccuracy(name="loss")]},
            ValueError,
            "several named 'loss'",
        ),
        (
            {"loss": SPARSE(from_logits=True, ignore_class=-1)},
            ValueError,
            "`loss` must count every class.*ignore_class=-1",
        ),
        (
            {"adversaries": tfr.attacks.PGD(tfr.threats.Linf(4 * [0.1]))},
            ValueError,
            "`epsilon` must not depend on the example",
        ),
    ],
)
def test_compile_refuses_in_one_sentence(options, error, sentence):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(error, match=sentence) as caught:
        tfr.RobustModel(network).compile("sgd", **options)
    assert "\n" not in str(caught.value)
