"""Rows and requests that a signature refuses, and what it does for others."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.exporting.served_network import ServedNetwork

THREAT = tfr.threats.Linf(0.1)
SPEC = tf.TensorSpec([None, 3], tf.float32, name="image")
NAN, INF = float("nan"), float("inf")


class Given(tfr.Verifier):
    """Answers with margins that are handed in, whatever the network."""

    def __init__(self, rows):
        self.threat, self.rows = THREAT, rows

    def margins(self, model, x, y):
        own = tf.one_hot(y, 3, True, False, dtype=bool)
        return tf.where(own, 0.0, tf.constant(self.rows)[: tf.shape(x)[0]])


def signatures(network, verifier):
    served = ServedNetwork(network, SPEC, verifier=verifier)
    return {
        name: lambda x, f=function: {
            key: value.numpy() for key, value in f(x).items()
        }
        for name, function in served.signatures().items()
    }


def rectified(x, training=False):
    return tf.nn.relu(x)


@pytest.mark.parametrize(
    "bad",
    [NAN, INF, -INF, 1.1, -0.1, 3.4e38],
)
def test_a_refused_row_abstains_and_changes_nothing_for_its_neighbours(
    shipped, data, bad
):
    loaded = tf.saved_model.load(str(shipped[1])).signatures
    clean, mixed = data[0][:9], data[0][:9].copy()
    mixed[::4, 2, 3] = bad
    rest = np.arange(9) % 4 > 0
    for name in ("certify", "predict_or_abstain"):
        before = loaded[name](image=tf.constant(clean))
        after = loaded[name](image=tf.constant(mixed))
        for key, value in before.items():
            np.testing.assert_array_equal(after[key][rest], value[rest])
        np.testing.assert_array_equal(after["class"][~rest], -1)
    assert np.any(before["class"].numpy()[rest] >= 0)
    found = loaded["certify"](image=tf.constant(mixed))
    assert not np.any(found["certified"][~rest])
    np.testing.assert_array_equal(found["margin"][~rest], -INF)


def test_rounding_at_the_ends_of_the_range_is_not_refused():
    answer = signatures(rectified, Given(np.ones([2, 3], np.float32)))
    x = tf.constant([[0.0, 1.0 + 5e-7, 0.5], [0.0, 0.2, -5e-7]])
    assert answer["certify"](x)["certified"].all()


def test_an_infinite_input_is_refused_by_a_range_without_ends_too():
    threat = tfr.threats.Linf(0.1, low=-INF, high=INF)
    verifier = Given(np.ones([3, 3], np.float32))
    verifier.threat = threat

    def saturated(x, training=False):
        return tf.tanh(x)

    x = tf.constant([[9.0, -9.0, 0.0], [INF, 0.0, 0.0], [0.0, -INF, 1.0]])
    found = signatures(saturated, verifier)["certify"](x)
    np.testing.assert_array_equal(found["certified"], [True, False, False])
    np.testing.assert_array_equal(found["class"], [0, -1, -1])


@pytest.mark.parametrize(
    "margins",
    [
        [0, NAN, 1],
        [0, 1, NAN],
        [0, NAN, NAN],
        [0, INF, 1],
        [0, 1, INF],
        [0, INF, INF],
        [0, -INF, 1],
        [0, 1, 0],
        [0, 1, -1],
    ],
)
def test_margins_that_are_no_number_or_not_positive_are_not_certified(margins):
    rows = np.float32([[0, 1, 2], margins, [0, 2, 1]])
    x = tf.constant([[1.0, 0.5, 0.0]] * 3)
    answer = signatures(rectified, Given(rows))
    found = answer["certify"](x)
    np.testing.assert_array_equal(found["certified"], [True, False, True])
    finite = np.all(np.isfinite(margins))
    np.testing.assert_array_equal(found["class"], [0, 0 if finite else -1, 0])
    least = min(margins[1:]) if finite else -INF
    np.testing.assert_array_equal(found["margin"], [1, least, 1])
    np.testing.assert_array_equal(
        answer["predict_or_abstain"](x)["class"], [0, -1, 0]
    )


@pytest.mark.parametrize("logits", [[NAN, 0, 0], [0, NAN, 1], [0, INF, 1]])
def test_logits_that_are_no_number_are_not_certified_and_have_no_class(logits):
    def network(x, training=False):
        return tf.where(x[:, :1] > 0.5, tf.constant([logits]), x)

    answer = signatures(network, Given(np.ones([3, 3], np.float32)))
    x = tf.constant([[0.1, 0.2, 0.3], [0.9, 0.2, 0.3], [0.3, 0.2, 0.1]])
    found = answer["certify"](x)
    np.testing.assert_array_equal(found["certified"], [True, False, True])
    np.testing.assert_array_equal(found["class"], [2, -1, 0])
    np.testing.assert_array_equal(
        answer["predict_or_abstain"](x)["class"], [2, -1, 0]
    )


def test_a_network_of_one_class_certifies_nothing():
    class Free(tfr.Verifier):
        threat = THREAT

        def margins(self, model, x, y):
            return tf.zeros_like(x[:, :1])

    answer = signatures(lambda x, training=False: x[:, :1], Free())
    assert not answer["certify"](tf.ones([2, 3]))["certified"].any()


@pytest.mark.parametrize("shape", [(2, 5, 6, 1), (2, 6, 6), (2, 36), ()])
def test_a_request_of_another_shape_is_refused(shipped, shape):
    loaded = tf.saved_model.load(str(shipped[1])).signatures
    for signature in loaded.values():
        with pytest.raises(tf.errors.InvalidArgumentError, match="expected sh"):
            signature(image=tf.fill(shape, 0.5))


def test_an_empty_batch_gets_an_empty_answer(shipped):
    loaded = tf.saved_model.load(str(shipped[1])).signatures
    dense = signatures(rectified, tfr.verifiers.IBP(THREAT))
    assert dense["serving_default"](tf.zeros([0, 3]))["logits"].shape == (0, 3)
    for name in ("certify", "predict_or_abstain"):
        for value in loaded[name](image=tf.zeros([0, 6, 6, 1])).values():
            assert value.shape == [0]


@pytest.mark.parametrize(
    "verifier",
    [tfr.verifiers.FastLin, tfr.verifiers.AlphaCROWN, tfr.verifiers.CROWNIBP],
)
def test_verifiers_of_every_kind_answer_an_empty_batch(verifier):
    answer = signatures(rectified, verifier(THREAT))
    assert answer["certify"](tf.zeros([0, 3]))["certified"].shape == (0,)
    assert answer["certify"](tf.eye(3))["certified"].all()
