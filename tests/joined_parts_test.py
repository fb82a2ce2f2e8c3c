"""The inputs and outputs of a joined network: their names and shapes."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras

layers = keras.layers
RANDOM = np.random.default_rng(0)
B = RANDOM.uniform(size=(20, 3)).astype("float32")


def test_all_outputs_of_one_layer_are_kept_the_first_by_its_name():
    x = keras.Input((4, 3))
    network = keras.Model(x, layers.LSTM(2, return_state=True, name="r")(x))
    rows = RANDOM.normal(size=(5, 4, 3)).astype("float32")
    joined = tfr.Joined(network)
    assert joined.output_parts == {"r": (2,), "r_1": (2,), "r_2": (2,)}
    outputs = [np.asarray(output) for output in network(rows)]
    expected = np.concatenate(outputs, axis=1)
    np.testing.assert_allclose(joined(rows), expected, atol=1e-6)
    for name, output in zip(joined.output_parts, outputs, strict=True):
        one = tfr.Joined(network, output=name)
        np.testing.assert_allclose(one(rows), output, atol=1e-6)


def test_a_shared_layer_has_an_output_for_each_call():
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    d, own = layers.Dense(2, name="d"), layers.Dense(2, name="d_1")
    network = keras.Model([a, b], [d(a), d(b), own(b)])
    joined = tfr.Joined(network)
    assert [*joined.output_parts] == ["d", "d_2", "d_1"]
    x = joined.join([B, 2 * B])
    expected = np.concatenate(network([B, 2 * B]), axis=1)
    np.testing.assert_allclose(joined(x), expected, rtol=1e-5)
    first = tfr.Joined(network, output="d")(x)
    np.testing.assert_allclose(first, expected[:, :2], rtol=1e-5)


def test_lists_under_one_key_have_names_of_their_own():
    a, b = keras.Input((3,), name="one"), keras.Input((3,), name="two")
    d = layers.Dense(2)
    network = keras.Model({"x": [a, b]}, {"p": [d(a), d(b)], "q": d(b)})
    joined = tfr.Joined(network)
    assert [*joined.input_parts] == ["x", "x_1"]
    assert [*joined.output_parts] == ["p", "p_1", "q"]
    x = joined.join({"x": B, "x_1": 2 * B})
    found = network({"x": [B, 2 * B]})
    expected = np.concatenate([*found["p"], found["q"]], axis=1)
    np.testing.assert_allclose(joined(x), expected, rtol=1e-5)


@pytest.mark.parametrize("make", [np.asarray, tf.constant])
def test_inputs_of_another_shape_or_length_are_refused(make):
    a, b = keras.Input((4, 4, 1), name="a"), keras.Input((2,), name="b")
    logits = layers.Dense(3)(layers.Concatenate()([layers.Flatten()(a), b]))
    joined = tfr.Joined(keras.Model([a, b], logits))
    image, pair = make(np.ones((2, 4, 4, 1))), make(np.ones((2, 2)))
    assert joined.join([image, pair]).shape == (2, 18)
    assert joined.join([image[..., 0], pair]).shape == (2, 18)
    message = r"`inputs\['a'\]` must have shape \[batch, 4, 4, 1\]. Received"
    for shape in ((2, 5, 4, 1), (2, 16), (4, 4, 1)):
        with pytest.raises(ValueError, match=message):
            joined.join([make(np.ones(shape)), pair])
    message = "`inputs` must be equally long. .*'a': 2, 'b': 3"
    with pytest.raises(ValueError, match=message):
        joined.join([image, make(np.ones((3, 2)))])


def test_targets_of_unequal_length_are_refused():
    x = keras.Input((7,))
    outputs = {"which": layers.Dense(3)(x), "much": layers.Dense(1)(x)}
    joined = tfr.Joined(keras.Model(x, outputs))
    y = {"which": np.arange(20) % 3, "much": np.ones((20, 1), "float32")}
    assert joined.targets(y).shape == (20, 2)
    for much in (y["much"][:3], 1.0):
        with pytest.raises(ValueError, match="`parts` must be equally long"):
            joined.targets(y | {"much": much})
