"""Networks of tokens, cut behind their embedding, against NumPy."""

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.backend import keras

layers = keras.layers
RANDOM = np.random.default_rng(0)
TOKENS = RANDOM.integers(0, 10, (16, 5))
TABLE = RANDOM.normal(size=(10, 3)).astype("float32")
KERNEL = RANDOM.normal(size=(15, 2)).astype("float32")
VECTORS = TABLE[TOKENS]
LOGITS = VECTORS.reshape(16, 15) @ KERNEL
Y = np.argmax(LOGITS + RANDOM.normal(size=(16, 2)), axis=1)
L2 = tfr.threats.L2(0.3, low=-np.inf, high=np.inf)


def network(**options):
    model = keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            layers.Embedding(10, 3, name="embedding", **options),
            layers.Flatten(),
            layers.Dense(2, use_bias=False),
        ]
    )
    model.set_weights([TABLE, KERNEL])
    return model


def test_embeddings_are_attacked_and_certified():
    front, rest = tfr.RobustModel(network()).from_layer("embedding")
    vectors = front.predict(TOKENS, verbose=0)
    np.testing.assert_allclose(vectors, VECTORS)
    np.testing.assert_allclose(rest(vectors), LOGITS, atol=1e-5)
    gap = (KERNEL[:, 0] - KERNEL[:, 1]) * np.where(Y, -1, 1)[:, np.newaxis]
    lead = np.sum(gap * VECTORS.reshape(16, 15), axis=1)
    least = lead - 0.3 * np.linalg.norm(gap, axis=1)
    margins = tfr.verifiers.CROWN(L2).margins(rest, vectors, Y).numpy()
    np.testing.assert_allclose(margins[range(16), 1 - Y], least, atol=3e-4)
    attack = tfr.attacks.PGD(L2, steps=10, loss="margin", random_start=0.0)
    z = rest(attack.perturb(rest, vectors, Y)).numpy()
    found = z[range(16), Y] - z[range(16), 1 - Y]
    np.testing.assert_allclose(found, least, atol=1e-3)


def test_the_rest_is_trained_and_the_front_stays():
    model = tfr.RobustModel(network())
    before = np.array(model.network(TOKENS))
    _, rest = model.from_layer("embedding")
    robust = tfr.RobustModel(rest)
    step = tfr.attacks.PGD(L2, steps=2)
    robust.compile("sgd", objective=tfr.objectives.WorstCase(step))
    robust.fit(VECTORS, Y, verbose=0)
    table, _ = model.network.get_weights()
    np.testing.assert_array_equal(table, TABLE)
    after = np.array(model.network(TOKENS))
    assert np.all(np.any(after != before, axis=1))
    np.testing.assert_allclose(rest(VECTORS), after, atol=1e-5)


def beside():
    x = keras.Input((5,))
    one = layers.Dense(3, name="one")(x)
    return keras.Model(x, layers.Concatenate()([one, x]))


def masked():
    tokens = keras.Input((5,), dtype="int32")
    x = layers.Embedding(10, 3, mask_zero=True, name="embedding")(tokens)
    return keras.Model(tokens, layers.SimpleRNN(2)(x))


def last():
    given = keras.Input((5,))
    return keras.Model(given, layers.Dense(2, name="last")(given))


class Own(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    "make, name, error, message",
    [
        (network, "other", ValueError, "`name` must be one of"),
        (beside, "one", ValueError, "that all goes through"),
        (masked, "embedding", ValueError, "without a mask"),
        (last, "last", ValueError, "`name` must be a layer before the last"),
        (Own, "embedding", TypeError, "functional or Sequential"),
    ],
)
def test_what_can_not_be_cut_is_refused(make, name, error, message):
    with pytest.raises(error, match=message):
        tfr.RobustModel(make()).from_layer(name)


def fitted():
    model = tfr.RobustModel(network())
    step = tfr.attacks.PGD(tfr.threats.Linf(0.1))
    model.compile("sgd", objective=tfr.objectives.WorstCase(step))
    model.fit(TOKENS, Y)


@pytest.mark.parametrize(
    "call",
    [
        fitted,
        lambda: tfr.evaluate(network(), (TOKENS, Y), epsilon=0.1, verbose=0),
        lambda: tfr.attack(network(), TOKENS, Y, epsilon=0.1),
    ],
)
def test_who_attacks_tokens_is_told_of_the_embedding(call):
    with pytest.raises(ValueError, match=r"from_layer\('embedding'\)"):
        call()


def test_a_robust_model_shows_what_its_network_is():
    inner = network()
    model = tfr.RobustModel(inner)
    assert model.input_shape == (None, 5) and model.output_shape == (None, 2)
    assert model.inputs[0] is inner.inputs[0]
    assert model.outputs[0] is inner.outputs[0]
    _, rest = model.from_layer("embedding")
    assert tfr.verifiers.coverage(tfr.RobustModel(rest)).complete
