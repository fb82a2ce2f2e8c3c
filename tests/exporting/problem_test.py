"""What can't be exported is refused at the start, and nothing is written."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras

LINF = tfr.threats.Linf(0.1)
PGD, IBP = tfr.attacks.PGD(LINF), tfr.verifiers.IBP(LINF)
X = np.random.default_rng(0).random((7, 4, 4, 1), np.float32)
Y = np.arange(7) % 3


def network(*last):
    layers = [keras.layers.Flatten(), keras.layers.Dense(3), *last]
    return keras.Sequential([keras.Input((4, 4, 1)), *layers])


def with_bias(value):
    model = network()
    kernel, bias = model.get_weights()
    model.set_weights([kernel, bias + value])
    return model


def functional(answer, **options):
    x = keras.Input((4, 4, 1), **options)
    return keras.Model(x, answer(keras.layers.Flatten()(x)))


def dense(units):
    return keras.layers.Dense(units)


MODELS = {
    "floating point.*uint8": lambda: functional(dense(3), dtype="uint8"),
    "floating point.*int32": lambda: functional(dense(3), dtype="int32"),
    r"answers with \(4, 1\)": lambda: network(dense(1)),
    r"answers with \(4, 5, 3\)": lambda: network(
        dense(15), keras.layers.Reshape((5, 3))
    ),
    r"answers with \(4,\)": lambda: network(dense(1), keras.layers.Reshape(())),
    "Received 2 outputs": lambda: functional(lambda h: [dense(3)(h)] * 2),
    "answers with dict": lambda: functional(lambda h: {"y": dense(3)(h)}),
    "finite logits.*nan": lambda: with_bias([np.nan, 0, 0]),
    "finite logits.*inf": lambda: with_bias([np.inf, 0, 0]),
    "must return logits.*softmax": lambda: network(
        keras.Sequential([dense(3), keras.layers.Softmax()])
    ),
}


@pytest.mark.parametrize("words", MODELS)
def test_a_model_that_cannot_be_served_is_refused(tmp_path, words):
    model = MODELS[words]()
    with pytest.raises(ValueError, match=words):
        tfr.export(model, tmp_path / "served")
    with pytest.raises(ValueError, match=words):
        tfr.export_litert(model, tmp_path / "model.tflite", "float16")
    assert list(tmp_path.iterdir()) == []


def verifier(epsilon=0.1, **options):
    return tfr.verifiers.IBP(tfr.threats.Linf(epsilon, **options))


@pytest.mark.parametrize(
    ("error", "words", "given"),
    [
        (TypeError, "`certify` must be a verifier", {"certify": PGD}),
        (TypeError, "`certify` must be a verifier", {"certify": LINF}),
        (TypeError, "`certify` must be a verifier", {"certify": [IBP]}),
        (
            ValueError,
            "branch and bound searches in Python",
            {"certify": tfr.verifiers.BranchAndBound(LINF)},
        ),
        (ValueError, "fixed eps", {"certify": verifier([0.1, 0.2])}),
        (
            ValueError,
            r"shape of one input, \(4, 4, 1\).*\(7, 4, 4, 1\)",
            {"certify": verifier(np.full([7, 4, 4, 1], 0.1))},
        ),
        (
            ValueError,
            r"shape of one input, \(4, 4, 1\).*\(5, 4, 1\)",
            {"certify": verifier(mask=np.ones([5, 4, 1]))},
        ),
        (
            ValueError,
            r"shape of one input, \(4, 4, 1\).*\(7, 1, 1, 1\)",
            {"certify": verifier(mask=np.ones([7, 1, 1, 1]))},
        ),
        (TypeError, "`data` needs an `att", {"attack": IBP, "data": (X, Y)}),
        (TypeError, "must be a pair of arrays", {"data": X}),
        (TypeError, "must be a pair of arrays", {"data": "x.npy"}),
        (ValueError, "inputs of the model's shape", {"data": (X[:, :3], Y)}),
        (ValueError, "inputs of the model's shape", {"data": (X[..., 0], Y)}),
        (ValueError, "class labels from 0 to 2", {"data": (X, Y + 1)}),
        (ValueError, "class labels from 0 to 2", {"data": (X, Y - 1)}),
        (ValueError, "whole class labels", {"data": (X, Y + 0.5)}),
        (ValueError, "one-hot", {"data": (X, np.eye(3)[Y])}),
        (ValueError, "hold no NaN", {"data": (X * np.nan, Y)}),
        (
            ValueError,
            "must be floating point",
            {"data": (np.uint8(255 * X), Y)},
        ),
        (ValueError, "at least one", {"data": (X[:0], Y[:0])}),
        (ValueError, "Python identifier", {"input_name": None}),
        (ValueError, "Python identifier", {"input_name": "for"}),
        (ValueError, "Python identifier", {"input_name": "self"}),
        (ValueError, "Python identifier", {"input_name": "_x"}),
        (ValueError, "Python identifier", {"input_name": "größe"}),
        (ValueError, "`version` must be", {"version": "010"}),
        (ValueError, "`version` must be", {"version": 2**63}),
        (ValueError, "`version` must be", {"version": True}),
    ],
)
def test_an_argument_that_cannot_work_leaves_nothing(
    tmp_path, error, words, given
):
    if "data" in given:
        given = {"attack": PGD, **given}
    with pytest.raises(error, match=words):
        tfr.export(network(), tmp_path / "a" / "b", **given)
    assert list(tmp_path.iterdir()) == []


def test_a_variable_that_nobody_stores_is_no_fixed_epsilon(tmp_path):
    threat = tfr.threats.Linf(tf.Variable(0.1))
    with pytest.raises(ValueError, match="needs one fixed epsilon"):
        tfr.export(network(), tmp_path, certify=tfr.verifiers.IBP(threat))
    assert list(tmp_path.iterdir()) == []


def test_names_of_inputs_that_python_knows_otherwise_are_allowed(tmp_path):
    for name in ("Image", "args", "kwargs", "inputs", "name"):
        path = tfr.export(network(), tmp_path / name, input_name=name)
        signature = tf.saved_model.load(str(path)).signatures
        assert len(signature["serving_default"](**{name: X})["class"]) == 7
