import numpy as np
import pytest
import tensorflow as tf

from tfrobust import RobustModel, attacks
from tfrobust.attacks import PGD, Transfer
from tfrobust.backend import keras
from tfrobust.threats import Linf

LINF = Linf(0.1)
W = np.array([[1.0, -1.0], [2.0, 1.0], [-1.0, 0.5]], np.float32)
X = np.random.default_rng(0).uniform(0.2, 0.8, (6, 3)).astype(np.float32)
Y = np.array([0, 1, 0, 1, 0, 1])


def surrogate(x, training=False):
    return x @ W


def keras_surrogate():
    network = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, use_bias=False)]
    )
    network.set_weights([W])
    return network


def unreachable(x, training=False):
    raise AssertionError("The attacked model must not be called.")


def worst():
    """On a linear surrogate, the corner of the ball."""
    direction = np.where(Y == 0, 1.0, -1.0)[:, np.newaxis]
    return X + 0.1 * direction * np.sign(W[:, 1] - W[:, 0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: surrogate,
        keras_surrogate,
        lambda: RobustModel(keras_surrogate()),
    ],
    ids=["function", "keras", "robust"],
)
def test_the_points_are_those_of_the_surrogate_and_the_model_is_not_called(
    make,
):
    attack = Transfer(PGD(LINF, steps=8), make())
    found = attack.perturb(unreachable, X, Y)
    np.testing.assert_allclose(found, worst(), atol=1e-6)


def test_the_logits_are_those_of_the_attacked_model():
    def rounded(x, training=False):
        return tf.round(20 * x @ W)

    attack = Transfer(PGD(LINF, steps=8), surrogate)
    logits = attack(rounded, X, Y)
    np.testing.assert_array_equal(logits, np.round(20 * worst() @ W))


def test_it_searches_another_threat_of_its_part():
    attack = Transfer(PGD(LINF, steps=2), surrogate).against(Linf(0.0))
    np.testing.assert_array_equal(attack.perturb(unreachable, X, Y), X)
    assert attack.threat.epsilon == 0.0


def test_an_ensemble_transfers_too_and_follows_the_step():
    inner = attacks.Ensemble([PGD(Linf(0.01), 1, step_size=0.1)])
    attack = Transfer(inner, lambda x, training: 0.1 * x @ W)
    first, second = (
        attack.at(step).perturb(unreachable, X, Y).numpy() for step in (0, 1)
    )
    assert np.any(first != second)


def test_a_model_is_not_written_into_a_configuration():
    attack = Transfer(PGD(LINF), keras_surrogate())
    with pytest.raises(ValueError, match="holds no weights"):
        attack.get_config()


def test_a_surrogate_that_cannot_be_called_is_refused():
    with pytest.raises(ValueError, match="`surrogate` must be a model"):
        Transfer(PGD(LINF), "model.keras")
