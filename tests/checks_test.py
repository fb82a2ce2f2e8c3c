"""Sentences about arguments: one line each, whatever came."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust import checks
from tfrobust.backend import keras

THREAT = tfr.threats.Linf(0.01)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"),
        ("abc", "'abc'"),
        (None, "None"),
        (np.zeros((40, 2)), "ndarray of shape (40, 2)"),
        (np.float32(3), repr(np.float32(3))),
        (np.array("a\nb"), "array('a\\nb', dtype='<U3')"),
    ],
)
def test_a_value_is_shown_in_one_line(value, text):
    assert checks.shown(value) == text


def test_a_tensor_is_shown_by_its_shape():
    assert checks.shown(tf.zeros([3, 4])) == "EagerTensor of shape (3, 4)"


def test_a_long_value_is_cut():
    assert len(checks.shown(list(range(1000)))) < 210


def test_an_array_where_a_number_is_wanted_is_one_short_sentence():
    with pytest.raises(ValueError, match="ndarray of shape") as found:
        checks.number(np.zeros((30, 30)), "epsilon")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("value", [0, -1.0, np.inf, np.nan, None, True, "1"])
def test_what_must_be_positive_is(value):
    with pytest.raises(ValueError, match="`rate` must be positive and finite"):
        checks.positive(value, "rate")
    with pytest.raises(ValueError, match=r"`share` must lie in \(0, 0.5\]"):
        checks.positive(value, "share", high=0.5)


def test_what_is_positive_passes():
    checks.positive(np.float32(0.5), "share", high=0.5)
    with pytest.raises(ValueError, match="Received: share=0.6"):
        checks.positive(0.6, "share", high=0.5)


class Built:
    def __init__(self, *shape):
        self.input_shape = shape


@pytest.mark.parametrize(
    "shape, built",
    [
        ((8, 8, 1), Built(None, 8, 8, 1)),
        ((8, 8), Built(None, 8, 8, 1)),
        ((8, 8, 1), Built(None, 8, 8)),
        ((5, 7, 3), Built(None, None, None, 3)),
        ((3,), object()),
        ((3,), Built({"image": 4})),
        ((3,), Built()),
    ],
)
def test_inputs_fit_what_the_model_was_built_for(shape, built):
    checks.fits(shape, built)


@pytest.mark.parametrize(
    "shape, built",
    [
        ((64,), Built(None, 8, 8, 1)),
        ((8, 8, 3), Built(None, 8, 8, 1)),
        ((8, 1), Built(None, 8, 8, 1)),
        ((5, 7, 1), Built(None, None, None, 3)),
    ],
)
def test_inputs_of_another_shape_are_refused(shape, built):
    with pytest.raises(ValueError, match="that the model was built for"):
        checks.fits(shape, built)


@pytest.mark.parametrize(
    "shape, mend", [((20, 4), "sizes that it was"), ((5,), r"x\[np.newaxis\]")]
)
@pytest.mark.parametrize(
    "use",
    [
        lambda model, x, y: tfr.attacks.PGD(THREAT)(model.network, x, y),
        lambda model, x, y: tfr.attacks.Square(THREAT)(model.network, x, y),
        lambda model, x, y: tfr.verifiers.IBP(THREAT).decide(model, x, y),
        lambda model, x, y: tfr.verifiers.CROWN(THREAT).margins(model, x, y),
        lambda model, x, y: tfr.attack(model, x, y, epsilon=0.1),
        lambda model, x, y: tfr.certify(
            model, (x, y), [tfr.verifiers.IBP(THREAT)]
        ),
        lambda model, x, y: model.fit(x, y),
        lambda model, x, y: model.fit(tf.data.Dataset.from_tensors((x, y))),
        lambda model, x, y: model.evaluate(
            tf.data.Dataset.from_tensors((x, y))
        ),
    ],
)
def test_wrong_inputs_are_refused_before_keras_sees_them(use, shape, mend):
    layers = [keras.layers.Input((5,)), keras.layers.Dense(3)]
    model = tfr.RobustModel(keras.Sequential(layers))
    model.compile("sgd", objective=tfr.objectives.Clean())
    x, y = np.full(shape, 0.5, np.float32), np.zeros(shape[0], int)
    with pytest.raises(ValueError, match=f"that the model was.*{mend}"):
        use(model, x, y)


@pytest.mark.parametrize(
    "x, y, sentence",
    [
        (np.full((20, 4), 3.0), np.full(20, 7), "that the model was built for"),
        (np.full((20, 5), 3.0), np.full(20, 7), "labels from 0 to 2"),
        (np.full((20, 5), 3.0), np.full(20, 2), "valid range"),
    ],
)
def test_of_several_faults_shapes_come_first_then_labels_then_ranges(
    x, y, sentence
):
    layers = [keras.layers.Input((5,)), keras.layers.Dense(3)]
    model = tfr.RobustModel(keras.Sequential(layers))
    model.compile("sgd", epsilon=0.1)
    for use in model.fit, model.evaluate:
        with pytest.raises(ValueError, match=sentence):
            use(x.astype(np.float32), y)


@pytest.mark.parametrize("shape", [(1, 3), (3,), (2, 1, 4)])
def test_a_range_of_other_features_is_refused(shape):
    x, high = np.full((5, 4), 0.5, np.float32), np.ones(shape, np.float32)
    with pytest.raises(ValueError, match=r"`high` must .* of x, \(4,\)\."):
        checks.inputs(x, 0.0, high)
    for end in np.ones((1, 4)), np.ones((5, 4)), np.ones((1, 1)):
        checks.inputs(x, 0.0, end.astype(np.float32))
