"""What can be bounded is said before, and what cannot is refused."""

import numpy as np
import pytest
import tensorflow as tf

from tests.verifiers.conftest import Op, chain
from tfrobust import attacks, threats, verifiers
from tfrobust.backend import keras
from tfrobust.model import RobustModel

layers = keras.layers
CROWN = verifiers.CROWN(threats.Linf(0.1))


def test_every_op_has_its_rule_in_a_table():
    network = chain((4,), layers.Dense(6, activation="relu"))
    found = verifiers.coverage(network, CROWN)
    assert found.complete
    assert found.neurons == 6
    # Whether flattening a row reshapes it depends on the Keras.
    ops = [(op, rule) for _, op, _, rule in found.rows if op != "Reshape"]
    assert (
        ops
        == [
            ("MatMul", "linear"),
            ("BiasAdd", "linear"),
            ("Relu", "activation"),
            ("MatMul", "linear"),
            ("BiasAdd", "linear"),
        ]
        or ("Reshape", "linear") in ops
    )
    assert found.bytes_per_example > 0
    assert found.seconds_per_example > 0
    assert "6 neurons" in str(found)
    assert "MiB" in str(found)


def test_a_robust_model_is_covered_as_its_network_is():
    network = chain((4,), layers.Dense(6, activation="relu"))
    found = verifiers.coverage(RobustModel(network), CROWN)
    assert found.rows == verifiers.coverage(network).rows


def test_more_neurons_take_more_memory():
    small, large = (
        verifiers.coverage(
            chain(
                (4,),
                layers.Dense(width, activation="relu"),
                layers.Dense(width, activation="relu"),
            ),
            CROWN,
        ).bytes_per_example
        for width in (8, 64)
    )
    assert large > 10 * small


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (tf.nn.softmax, "op Softmax at .* Return the logits"),
        (tf.math.erfinv, "no rule to bound the op Erfinv"),
        (lambda x: x - tf.reduce_mean(x, 0), "mixes the examples"),
        (lambda x: tf.transpose(tf.matmul(x, x, False, True)), "op MatMul"),
        (lambda x: tf.cast(tf.cast(x, tf.float16), tf.float32), "in float32"),
    ],
)
def test_an_op_without_a_rule_is_named_with_a_remedy(function, sentence):
    x = np.full((2, 4), 0.5, np.float32)

    def model(x, training=False):
        return function(x)

    with pytest.raises(NotImplementedError, match=sentence):
        CROWN.margins(model, x, np.array([0, 1]))


def test_a_missing_rule_stands_in_the_table():
    network = chain((4,), Op(tf.math.erfinv))
    found = verifiers.coverage(network, CROWN)
    assert not found.complete
    assert "NO RULE" in str(found)
    assert found.bytes_per_example is None


def test_several_inputs_and_what_is_no_verifier_are_refused():
    inputs = [keras.Input((3,)), keras.Input((2,))]
    network = keras.Model(inputs, layers.Concatenate()(inputs))
    with pytest.raises(ValueError, match=r"tfr\.Joined\(network\)"):
        verifiers.coverage(network)
    pgd = attacks.PGD(threats.Linf(0.1))
    with pytest.raises(TypeError, match="`verifier` must be a Verifier"):
        verifiers.coverage(lambda x, training=False: x, pgd, (3,))


def test_an_unknown_shape_is_refused():
    with pytest.raises(ValueError, match="shape of one input"):
        verifiers.coverage(lambda x, training: x)


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        (np.full((2, 4), np.nan, np.float32), [0, 1], "hold no NaN"),
        (np.full((2, 4), 3.0, np.float32), [0, 1], "valid range"),
        (np.zeros((2, 4), np.float32), [0, 9], "class labels"),
        (np.zeros((2, 4), np.float32), [[1, 0], [0, 1]], "one-hot"),
        (np.zeros((0, 4), np.float32), np.zeros(0, int), "at least one"),
    ],
)
def test_bad_inputs_are_refused(x, y, sentence):
    network = chain((4,))
    with pytest.raises(
        (ValueError, tf.errors.InvalidArgumentError), match=sentence
    ):
        CROWN.margins(network, x, np.asarray(y))
