import os
import threading

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.attacks import PGD
from tfrobust.evaluation.counter import Counter
from tfrobust.halves import LEAST, in_halves
from tfrobust.threats import L2, Linf

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(0)
X = RNG.uniform(0.1, 0.9, (2 * LEAST + 1, 3)).astype(np.float32)
Y = RNG.integers(0, 2, len(X))
FREE = Linf(0.1)


def compiled(function, size=None):
    """The function of images and labels, traced once for this batch size."""
    return tf.function(
        function,
        input_signature=[
            tf.TensorSpec([size, 3]),
            tf.TensorSpec([size], tf.int64),
        ],
        autograph=False,
    )


@pytest.mark.parametrize(
    ("count", "parts"),
    [
        (1, [1]),
        (LEAST - 1, [LEAST - 1]),
        (LEAST, [LEAST // 2, LEAST // 2]),
        (2 * LEAST + 1, [LEAST, LEAST + 1]),
    ],
)
def test_a_batch_that_is_not_small_is_run_by_halves(count, parts):
    sizes, traces = [], []

    def run(threat, x, labels):
        traces.append(x.shape)
        tf.numpy_function(lambda x: sizes.append(len(x)), [x], [])
        return x * tf.cast(labels["y"], tf.float32)[:, tf.newaxis]

    @compiled
    def answer(x, y):
        return in_halves(run, FREE, x, {"y": y})

    found = answer(X[:count], Y[:count])
    np.testing.assert_array_equal(found, X[:count] * Y[:count, np.newaxis])
    assert sorted(sizes) == parts
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("size", "part"),
    [(LEAST - 2, LEAST - 2), (LEAST, LEAST // 2), (LEAST + 1, LEAST + 1)],
)
def test_static_shapes_stay_static(size, part):
    shapes = []

    def run(threat, x, y):
        shapes.append(tuple(x.shape))
        return x + 1

    answer = compiled(lambda x, y: in_halves(run, FREE, x, y), size)
    np.testing.assert_array_equal(answer(X[:size], Y[:size]), X[:size] + 1)
    assert shapes == [(part, 3)]


def test_outside_of_graphs_a_batch_is_whole():
    def run(threat, x, y):
        assert len(x) == len(X)
        return x + 1

    np.testing.assert_array_equal(in_halves(run, FREE, X, Y), X + 1)


@pytest.mark.parametrize("size", [None, 2 * LEAST])
def test_the_threat_of_an_example_goes_with_it(size):
    x, y = X[: 2 * LEAST], Y[: 2 * LEAST]
    for epsilon, mask in (
        (tf.linspace(0.0, 0.3, len(x)), None),
        (np.float32([[0.1, 0.2, 0.3]]), np.array([1, 0, 1])),
        (x[::-1], (x[:, :1] > 0.4)),
    ):
        threat = Linf(epsilon, mask=mask)
        upper = compiled(
            lambda x, y, threat=threat: in_halves(
                lambda threat, x, y: threat.box(x)[1], threat, x, y
            ),
            size,
        )
        np.testing.assert_array_equal(upper(x, y), threat.box(x)[1])


@pytest.mark.parametrize("early_stop", [False, True])
def test_an_attack_finds_the_same_by_halves(early_stop):
    kernel = tf.Variable(RNG.normal(size=(3, 2)).astype(np.float32))

    def model(x, training=False):
        return tf.sin(9 * x) @ kernel

    attack = PGD(L2(0.1), restarts=2, early_stop=early_stop)
    perturb = compiled(lambda x, y: attack.perturb(model, x, y))
    found, small = perturb(X, Y), len(X) // 3
    for rows in (slice(0, small), slice(small, 2 * small)):
        whole = perturb(X[rows], Y[rows])
        np.testing.assert_allclose(found[rows], whole, atol=1e-6)
    kernel.assign(-kernel)
    assert np.abs(perturb(X, Y) - found).max() > 0.1


@pytest.mark.skipif(os.cpu_count() == 1, reason="One core runs one half.")
def test_the_halves_run_side_by_side_while_passes_are_counted():
    kernel = tf.Variable(tf.ones((3, 2)))
    together = threading.Barrier(2)

    def meet():
        together.wait(timeout=30)

    @Counter
    def model(x, training=False):
        tf.numpy_function(meet, [], [])
        return x @ kernel

    attack = PGD(FREE, steps=2, best=False)
    compiled(lambda x, y: attack.perturb(model, x, y))(X, Y)
    assert model.passes() == (2 * len(X), 2 * len(X))
