"""What RobustModel refuses, and the sentence it says."""

import importlib

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust import backend
from tfrobust.backend import keras

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(size=(8, 4)).astype("float32")
Y = RANDOM.integers(0, 3, 8)
LINF = tfr.threats.Linf(0.1)
PGD = tfr.attacks.PGD(LINF, steps=1)


def network(activation=None):
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, activation=activation)]
    )


def compiled(**options):
    model = tfr.RobustModel(network())
    model.compile(
        "sgd",
        objective=tfr.objectives.WorstCase(PGD),
        adversaries={"pgd": PGD},
        **options,
    )
    return model


NOT_A_NUMBER = np.where(X == X[3, 2], np.nan, X)
# A compiled step escapes the apostrophe.
RANGE = r"`x` must lie in the threat\W+s valid range"
LABELS = "`y` must hold whole class labels from 0 to 2"
BAD = {
    "bytes": (np.round(255 * X), Y, RANGE),
    "nan": (NOT_A_NUMBER, Y, RANGE),
    "high": (X, np.where(Y == Y[0], 3, Y), LABELS),
    "low": (X, np.where(Y == Y[0], -1, Y), LABELS),
}
AT_ONCE = {
    "integers": ((255 * X).astype("uint8"), Y, "`x` must be floating point"),
    "one-hot": (X, np.eye(3)[Y], "`y` must hold integer class labels"),
}


@pytest.mark.parametrize("case", [*BAD, *AT_ONCE, "fraction"])
def test_bad_arrays_are_refused_before_the_first_step(case):
    x, y, sentence = {**BAD, **AT_ONCE, "fraction": (X, Y + 0.5, LABELS)}[case]
    model = compiled()
    before = model.get_weights()
    with pytest.raises(ValueError, match=sentence):
        model.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match=sentence):
        model.fit(X, Y, validation_data=(x, y), verbose=0)
    with pytest.raises(ValueError, match=sentence):
        model.fit(X, Y, 8, 1, 0, None, 0.0, (x, y))
    with pytest.raises(ValueError, match=sentence):
        model.evaluate(x, y, verbose=0)
    assert int(model.optimizer.iterations) == 0
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def dataset(x, y):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(8)


def test_bad_batches_of_a_dataset_stop_the_compiled_step():
    model = compiled()
    model.fit(dataset(X, Y), verbose=0)
    before = model.get_weights()[0]
    for x, y, sentence in BAD.values():
        for method in (model.fit, model.evaluate):
            with pytest.raises(
                tf.errors.InvalidArgumentError, match=sentence
            ) as caught:
                method(dataset(x.astype("float32"), y), verbose=0)
            assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(model.get_weights()[0], before)


@pytest.mark.parametrize("case", AT_ONCE)
def test_batches_of_a_wrong_kind_are_refused_when_the_step_is_traced(case):
    x, y, sentence = AT_ONCE[case]
    with pytest.raises(ValueError, match=sentence):
        compiled().fit(dataset(x, y), verbose=0)


@pytest.mark.parametrize("softmax", ["activation", "layer"])
def test_a_network_that_ends_in_a_softmax_is_refused(softmax):
    ending = network("softmax")
    if softmax == "layer":
        ending = keras.Sequential([network(), keras.layers.Softmax()])
    with pytest.raises(ValueError, match="`network` must return logits"):
        tfr.RobustModel(ending)


@pytest.mark.parametrize("thing", [None, "cnn", lambda x: x, PGD])
def test_what_is_not_a_model_is_refused(thing):
    with pytest.raises(TypeError, match="`network` must be a Keras model"):
        tfr.RobustModel(thing)


def test_a_model_of_the_other_keras_is_refused():
    other = importlib.import_module("keras" if backend.LEGACY else "tf_keras")
    foreign = other.Sequential([other.layers.Dense(3)])
    with pytest.raises(TypeError, match="TF_USE_LEGACY_KERAS=[01] before"):
        tfr.RobustModel(foreign)


RAMP = tfr.schedules.Ramp(0.0, 0.1, end=9)


@pytest.mark.parametrize(
    "adversary, error, sentence",
    [
        (LINF, TypeError, "`adversaries` must map names to adversaries"),
        ("pgd", TypeError, "`adversaries` must map names to adversaries"),
        (
            tfr.attacks.PGD(tfr.threats.Linf(RAMP)),
            ValueError,
            r"'moving' with a schedule for \['threat.epsilon'\]",
        ),
        (
            tfr.attacks.PGD(LINF, targeted=True),
            ValueError,
            "A targeted attack needs target classes",
        ),
    ],
)
def test_an_adversary_that_cannot_be_evaluated_is_refused(
    adversary, error, sentence
):
    model = tfr.RobustModel(network())
    with pytest.raises(error, match=sentence):
        model.compile("sgd", adversaries={"moving": adversary})


def test_an_attack_in_place_of_an_objective_is_refused():
    model = tfr.RobustModel(network())
    with pytest.raises(TypeError, match="`objective` must be an objective"):
        model.compile("sgd", objective=PGD)


@pytest.mark.parametrize("adversaries", [LINF, "pgd", [LINF], [PGD, "pgd"]])
def test_what_holds_no_adversaries_is_refused(adversaries):
    model = tfr.RobustModel(network())
    sentence = "`adversaries` must map names|Adversaries must be a dictionary"
    with pytest.raises(TypeError, match=sentence):
        model.compile("sgd", adversaries=adversaries)


def test_an_objective_that_was_not_called_is_refused():
    model = tfr.RobustModel(network())
    with pytest.raises(TypeError, match="`objective` must be an objective"):
        model.compile("sgd", objective=tfr.objectives.Clean)


def test_data_without_labels_and_weights_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="`y` must hold labels"):
        compiled().fit(X, verbose=0)
    inputs = tf.data.Dataset.from_tensor_slices(X).batch(8)
    with pytest.raises(ValueError, match="`y` must hold labels"):
        compiled().evaluate(inputs, verbose=0)
    weighted = tf.data.Dataset.from_tensor_slices((X, Y, X)).batch(8)
    with pytest.raises(ValueError, match="one weight for each example"):
        compiled().fit(weighted, verbose=0)


def test_labels_may_be_true_or_false():
    model = compiled()
    two = model.evaluate(X, Y > 0, verbose=0)
    assert two == model.evaluate(X, (Y > 0).astype(int), verbose=0)
    assert two == model.evaluate(dataset(X, Y > 0), verbose=0)


KINDS = {
    "several": ({"a": X}, Y, TypeError, "tfr.Joined"),
    "unbatched": (X[0], Y[0], ValueError, "A dataset must come in batches"),
    "bytes": (X.astype("uint8"), Y, ValueError, "must be floating point"),
}


@pytest.mark.parametrize("case", KINDS)
def test_a_step_says_one_sentence_of_what_is_of_another_kind(case):
    x, y, error, sentence = KINDS[case]
    data = tf.data.Dataset.from_tensors((x, y))
    uses = [
        lambda model: model.fit(data, verbose=0),
        lambda model: model.evaluate(data, verbose=0),
    ]
    if case != "unbatched":
        uses.append(lambda model: model.train_on_batch(x, y))
        uses.append(lambda model: model.test_on_batch(x, y))
    for use in uses:
        with pytest.raises(error, match=sentence) as caught:
            use(compiled())
        assert "\n" not in str(caught.value)


def test_a_fault_in_a_layer_of_the_users_keeps_its_lines():
    class Faulty(keras.layers.Layer):
        def call(self, x, training=False):
            if training:
                raise ValueError("not today")
            return x

    parts = [keras.Input((4,)), keras.layers.Dense(3), Faulty()]
    model = tfr.RobustModel(keras.Sequential(parts))
    model.compile("sgd", objective=tfr.objectives.Clean())
    with pytest.raises(ValueError, match="not today") as caught:
        model.fit(X, Y, verbose=0)
    place = caught.getrepr(style="long")
    assert "line" in str(caught.value) or "test_a_fault" in str(place)


def test_a_step_on_one_batch_says_one_sentence_of_what_it_holds():
    for x, y, sentence in BAD.values():
        for step in (compiled().train_on_batch, compiled().test_on_batch):
            found = pytest.raises(
                tf.errors.InvalidArgumentError, match=sentence
            )
            with found as caught:
                step(x.astype("float32"), y)
            assert "\n" not in str(caught.value)
