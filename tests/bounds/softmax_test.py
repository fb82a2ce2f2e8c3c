"""A softmax inside of a network stays between its planes."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tests.bounds.sampled import slack
from tfrobust import threats, verifiers
from tfrobust.bounds.dense import Dense
from tfrobust.bounds.record import look_up
from tfrobust.bounds.softmax import Softmax
from tfrobust.graph import Trace

pytestmark = pytest.mark.keras_free

KINDS = {"softmax": scipy.special.softmax, "log": scipy.special.log_softmax}
OPS = {"softmax": tf.nn.softmax, "log": tf.nn.log_softmax}
both = pytest.mark.parametrize("name", list(KINDS))


def boxes(count=120, size=4):
    """Narrow ones, wide ones, far from 0, and with a value that leads."""
    rng = np.random.default_rng(0)
    centre = rng.normal(0, 3, (count, size))
    centre[::5] += 1000
    centre[1::5, 0] += 60
    radius = 10 ** rng.uniform(-6, 1.2, (count, size))
    radius[::7, 1] = 0
    return np.float32(centre - radius), np.float32(centre + radius)


def points(lower, upper):
    """Corners and inner points, in float64."""
    rng = np.random.default_rng(1)
    shares = rng.uniform(0, 1, (200, *lower.shape))
    shares[:100] = np.round(shares[:100])
    return lower + shares * (upper.astype(np.float64) - lower)


@both
def test_no_value_leaves_its_interval(name):
    lower, upper = boxes()
    ends = Softmax(name == "log").interval(None, [(lower, upper)])
    least, most = np.asarray(ends, np.float64)
    values = KINDS[name](points(lower, upper), axis=-1)
    assert np.all(least <= values) and np.all(values <= most)


@both
def test_its_interval_is_reached_at_corners(name):
    lower, upper = boxes()
    ends = Softmax(name == "log").interval(None, [(lower, upper)])
    least, most = np.asarray(ends, np.float64)
    for k in range(lower.shape[1]):
        low, high = upper.astype(float), lower.astype(float)
        low[:, k], high[:, k] = lower[:, k], upper[:, k]
        reached = KINDS[name](low, axis=-1)[:, k]
        size = 1 + np.abs(reached)
        assert np.all(reached - least[:, k] < 1e-4 * size)
        reached = KINDS[name](high, axis=-1)[:, k]
        assert np.all(most[:, k] - reached < 1e-4 * size)


@both
def test_no_value_crosses_its_planes(name):
    trace = Trace(
        lambda x, training: tf.identity(2 * OPS[name](x)), tf.zeros([1, 4])
    )
    look_up(trace)
    (node,) = [n for n in trace.nodes if n.type.startswith("Inner")]
    lower, upper = boxes()
    still = tf.zeros(lower.shape)
    found = node.rule.planes(node, [(lower, upper, still)])
    both = tf.concat([tf.eye(4), -tf.eye(4)], 0)[tf.newaxis]
    forms, constant = found.pull(Dense(tf.tile(both, [len(lower), 1, 1])))
    slopes, constant = np.float64(forms.tensor), np.float64(constant)
    for z in points(lower, upper):
        value = KINDS[name](z, axis=-1)
        plane = np.einsum("bfk,bk->bf", slopes, z) + constant
        assert np.all(plane <= np.concatenate([value, -value], 1))


def test_planes_are_closer_than_intervals():
    plain, _, planes = slack(
        lambda x: tf.nn.softmax(x) * [1.0, 2.0, -1.0], (3,), widest=0.05
    )
    assert planes < plain / 2


NETWORKS = {
    "softmax": (tf.nn.softmax, (3,)),
    "steep": (lambda x: tf.nn.softmax(60 * x), (4,)),
    "logarithm": (tf.nn.log_softmax, (3,)),
    "of images": (tf.nn.softmax, (2, 2, 3)),
    "attention": (
        lambda x: tf.matmul(
            tf.nn.softmax(tf.matmul(x, x, transpose_b=True)), tf.nn.relu(x)
        ),
        (3, 2),
    ),
}


@pytest.mark.parametrize("name", list(NETWORKS))
def test_it_is_bounded_in_a_network(name):
    assert np.all(slack(*NETWORKS[name]) < 200)


@both
@pytest.mark.parametrize("move", [tf.identity, lambda x: tf.expand_dims(x, 1)])
def test_at_the_end_it_is_refused_for_logits(name, move):
    def model(x, training=False):
        return tf.reshape(move(OPS[name](x)), [-1, 2])

    verifier, x = verifiers.CROWN(threats.Linf(0.1)), np.float32([[0.5, 0.2]])
    with pytest.raises(NotImplementedError, match="Return the logits"):
        verifier.margins(model, x, [0])
