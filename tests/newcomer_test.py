"""The wrong calls of a first hour, and the sentence that each is answered with.

A sentence is one line, says what was expected and what came.
"""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras

pytestmark = pytest.mark.one_keras

X = np.random.default_rng(0).uniform(size=(12, 4, 4, 1)).astype(np.float32)
Y = np.arange(12) % 10
LINF = tfr.threats.Linf(0.1)
PGD = tfr.attacks.PGD(LINF, steps=1)
BYTES = (255 * X).astype(np.uint8)
RANGE = r"lie in the threat.s valid range .*x / 255.0 for bytes"
SHAPE = r"built for, \[batch, 4, 4, 1\]. Received shape \[batch, "
FORGOT = "must be a pair of inputs and labels.*in parentheses"


def network(activation=None):
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation=activation),
        ]
    )


@pytest.fixture(scope="module")
def model():
    model = tfr.RobustModel(network())
    model.compile("sgd", epsilon=0.1)
    return model


def pairs(x, y):
    return tf.data.Dataset.from_tensor_slices((x, y))


WRAPPING = [
    (lambda: network("softmax"), r"must return logits.*pass tfr\.logits_of"),
    (lambda: "network.keras", "must be a Keras model.*'network.keras'"),
    (lambda: keras.Sequential, "must be a Keras model.*<class"),
    (lambda: keras.layers.Dense(10), "must be a Keras model.*Dense"),
]


@pytest.mark.parametrize("wrong, sentence", WRAPPING)
def test_what_is_wrapped_wrongly(wrong, sentence):
    check(lambda: tfr.RobustModel(wrong()), sentence)


COMPILING = [
    ({"epsilon": "8/255"}, "`epsilon` must be a number.*'8/255'"),
    ({"epsilon": 8}, "Received: epsilon=8. Did you mean 8/255?"),
    ({"epsilon": -0.1}, "finite and not negative. Received: epsilon=-0.1"),
    ({"epsilon": np.nan}, "finite and not negative. Received: epsilon=nan"),
    ({"epsilon": LINF}, "`epsilon` must be a number.*Linf"),
    ({"objective": PGD}, r"`objective` must be an objective.*WorstCase\("),
    ({"objective": "trades"}, "`objective` must be an.*'trades'"),
    ({"adversaries": "pgd"}, r"PGD\(threat\)}. Received: str"),
    ({"adversaries": [LINF]}, r"PGD\(threat\)}. Received: 'linf'"),
    (
        {"loss": "sparse_categorical_crossentropy", "epsilon": 0.1},
        "`loss` must read logits.*reads probabilities",
    ),
    (
        {"loss": "crossentropy", "epsilon": 0.1},
        "loss identifier: crossentropy|Unknown loss.*crossentropy",
    ),
    ({"weighted_metrics": ["accuracy"]}, "`weighted_metrics` would be ign"),
]


@pytest.mark.parametrize("options, sentence", COMPILING)
def test_what_is_compiled_wrongly(options, sentence):
    check(
        lambda: tfr.RobustModel(network()).compile("sgd", **options), sentence
    )


MAKING = [
    (lambda: tfr.attacks.PGD(0.1), "`threat` must be a Threat.*=0.1"),
    (lambda: tfr.attacks.PGD(), "argument: 'threat'"),
    (lambda: tfr.attacks.PGD(LINF, steps=0), "at least 1 and whole.*=0"),
    (lambda: tfr.attacks.PGD(LINF, steps=1.5), "at least 1 and whole.*=1.5"),
    (lambda: tfr.attacks.AutoAttack(LINF, "full"), '"standard", "plus".*full'),
    (lambda: tfr.objectives.WorstCase(LINF), "`adversary` must be an Adv"),
    (lambda: tfr.threats.Linf(0.1, 1, 0), "`low` must be below `high`"),
]


@pytest.mark.parametrize("call, sentence", MAKING)
def test_what_is_made_wrongly(call, sentence):
    check(call, sentence)


TRAINING = [
    ((BYTES, Y), "must be floating point.*x.astype"),
    ((X * 255, Y), RANGE),
    ((X * np.nan, Y), "hold no NaN"),
    ((X, np.eye(10)[Y]), r"looks one-hot or soft. Pass np.argmax"),
    ((X, Y + 1), "labels from 0 to 9. Received minimum and maximum: 1, 10"),
    ((X, Y.astype(str)), "that are numbers. Received dtype string"),
    ((X,), r"must hold labels. Received inputs alone. Pass fit\(x, y\)"),
    ((X, Y[:-1]), "same length. Received: 12 inputs and 11 labels"),
    ((X.reshape(12, 16), Y), SHAPE + "16"),
    ((X[0], Y[:4]), SHAPE + "4, 1.*np.newaxis"),
    ((X[:0], Y[:0]), "at least one example"),
    ((X.tolist(), Y), "must be an array or a dataset. Received: list"),
    ((pairs(X, Y),), r"in batches: dataset.batch\(64\)"),
    ((pairs(BYTES, Y).batch(4),), "must be floating point"),
]


@pytest.mark.parametrize("arguments, sentence", TRAINING)
def test_what_is_trained_wrongly(model, arguments, sentence):
    check(lambda: model.fit(*arguments, verbose=0), sentence)


def test_what_is_trained_before_it_is_compiled():
    bare = tfr.RobustModel(network())
    sentence = r"must be compiled.*model.compile\('adam', epsilon=8 / 255\)"
    check(lambda: bare.fit(X, Y), sentence)
    check(lambda: bare.evaluate(X, Y), sentence)


EVALUATING = [
    (((X, Y),), {}, "Pass either `epsilon`.*epsilon=8 / 255"),
    (((X, Y), PGD), {"epsilon": 0.1}, "Pass either `epsilon`.*some adv"),
    ((X, Y, PGD), {}, FORGOT),
    ((X,), {"epsilon": 0.1}, FORGOT),
    (((X, Y), LINF), {}, r"PGD\(threat\)}. Received: Linf"),
    (((X, Y),), {"epsilon": "0.1"}, "`epsilon` must be a number.*'0.1'"),
    (((X, Y),), {"epsilon": [0.1, 0.2]}, r"one number.*tfr.attack\(model"),
    (((X, Y),), {"epsilon": 0.1, "norm": "inf"}, '"linf", "l2" or "l1"'),
    (((X * 255, Y),), {"epsilon": 0.1}, RANGE),
    (((BYTES, Y),), {"epsilon": 0.1}, "must be floating point"),
    (((X, np.eye(10)[Y]),), {"epsilon": 0.1}, "looks one-hot or soft"),
    (((X[:0], Y[:0]),), {"epsilon": 0.1}, "at least one example"),
    (((X.reshape(12, 16), Y), PGD), {}, SHAPE + "16"),
    (((X[0], Y[0]), PGD), {}, "must be an array with a row for each"),
]


@pytest.mark.parametrize("arguments, options, sentence", EVALUATING)
def test_what_is_evaluated_wrongly(model, arguments, options, sentence):
    call = {"verbose": 0, **options}
    check(lambda: tfr.evaluate(model, *arguments, **call), sentence)


USING = [
    (lambda m: tfr.evaluate("no.keras", (X, Y), PGD), "where there is nothing"),
    (lambda m: tfr.evaluate(None, (X, Y), PGD), "callable of logits.*None"),
    (lambda m: tfr.evaluate(tfr.RobustModel, (X, Y), PGD), "of logits.*class"),
    (lambda m: tfr.attack(m, X, Y), "Pass `epsilon`.*epsilon=8 / 255"),
    (lambda m: tfr.attack(m, X[0], epsilon=0.1), SHAPE + "4, 1"),
    (lambda m: tfr.certify(m, (X, Y), PGD), "must be a verifier or a list"),
    (lambda m: tfr.certify(m, (X, Y), LINF), r"Received: Linf"),
    (lambda m: tfr.bounds(m, X, "0.1"), "`epsilon` must be a number"),
    (lambda m: tfr.bounds(m, X * 255, 0.1), RANGE),
    (lambda m: tfr.bounds(m, X.reshape(12, 16), 0.1), SHAPE + "16"),
    (lambda m: PGD.perturb(m, X * 255, Y), RANGE),
    (lambda m: tfr.export("m.keras", "served"), "must be a Keras model"),
    (lambda m: tfr.export(m, "served", certify=LINF), "must be a verifier"),
    (lambda m: m.save("model.h5"), r"end in .keras.*model.network.save"),
    (lambda m: tfr.Report.load("nowhere"), "where there is no report.json"),
    (lambda m: tfr.compare(["nowhere"]), "where there is no report.json"),
]


@pytest.mark.parametrize("call, sentence", USING)
def test_what_is_used_wrongly(model, call, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(lambda: call(model), sentence)
    assert not list(tmp_path.iterdir())


def check(call, sentence):
    with pytest.raises(Exception, match=sentence) as raised:
        call()
    said = str(raised.value)
    assert len(said.strip().splitlines()) == 1, said
    assert len(said) < 500
