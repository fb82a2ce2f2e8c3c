"""What branch and bound cuts next, and where each bound begins."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import threats
from tfrobust.bounds.dense import Dense
from tfrobust.graph import Trace
from tfrobust.verifiers import branching
from tfrobust.verifiers.branch_and_bound import BranchAndBound
from tfrobust.verifiers.subdomains import Subdomains
from tfrobust.verifiers.subproblems import Subproblems

pytestmark = pytest.mark.keras_free

LINF = threats.Linf(0.1)


def network(rng, *sizes):
    """Matrices with ReLUs in between."""
    pairs = zip(sizes, sizes[1:], strict=False)
    kernels = [
        np.float32(2 * rng.normal(size=pair) / np.sqrt(pair[0]))
        for pair in pairs
    ]

    def model(x, training=False):
        for number, kernel in enumerate(kernels):
            x = (tf.nn.relu(x) if number else x) @ kernel
        return x

    return model


def test_the_sign_one_of_whose_halves_is_nearly_proven_is_chosen():
    candidates = tf.constant([[4, 7, -1], [4, 7, -1], [-1, -1, -1]])
    bounds = [[-3, -3, -1, -9, -0.1, -0.1], [-1, -9, -1, -2, 5, 5], [-1.0] * 6]
    found = branching.best(candidates, tf.constant(np.ravel(bounds)))
    assert found.numpy().tolist() == [7, 7, -1]


def test_an_impossible_half_counts_as_proven_and_no_bound_as_the_worst():
    candidates = tf.constant([[1, 2]])
    bounds = tf.constant([-np.inf, -np.inf, np.inf, -np.inf], tf.float32)
    assert branching.best(candidates, bounds).numpy() == [2]


def test_halves_decide_one_more_sign_either_way():
    signs = tf.constant([[0.0, 1.0, 0.0]])
    found = branching.halves(signs, tf.constant([[2, -1]]))
    expected = [[0, 1, 1], [0, 1, -1], [0, 1, 0], [0, 1, 0]]
    assert found.numpy().tolist() == expected


def test_of_two_starts_the_better_is_taken():
    rng = np.random.default_rng(0)
    model, x = network(rng, 6, 12, 12, 2), tf.constant(rng.random((1, 6)))
    x = tf.repeat(tf.cast(x, tf.float32), 3, axis=0)
    shared = Subproblems(model, LINF, (6,), 1, 0.1, 1)
    ends, room, box, signs, _ = shared.prepare(x, tf.zeros(3, tf.int32))
    ends = tf.convert_to_tensor(ends)
    signs = tf.tensor_scatter_nd_update(signs, [[1, 0], [2, 0]], [1.0, 1.0])

    @tf.function(autograph=False)
    def starts(state):
        form = Dense(tf.tile(tf.constant([[[1.0, -1.0]]]), [3, 1, 1]))
        domains = Subdomains(Trace(model, x), LINF, x, form, room)
        domains.narrow(tf.unstack(box, axis=1), ends, signs)
        return domains.lower(domains.start(state))[0]

    count = signs.shape[1]
    none = starts(tf.zeros([3, 0])).numpy()
    # Multipliers so large that any form is worse for them.
    absurd = tf.concat(
        [tf.fill([3, count], -1.0), tf.fill([3, count], 1e4)], axis=1
    )
    np.testing.assert_array_equal(starts(absurd).numpy(), none)
    # And one that helps: both that of the first sign and none are tried.
    helped = [
        starts(
            tf.concat(
                [
                    tf.fill([3, count], -1.0),
                    size * tf.one_hot([0, 0, 0], count),
                ],
                axis=1,
            )
        ).numpy()
        for size in (0.01, 0.1, 1.0)
    ]
    assert np.all(np.max(helped, axis=0) >= none)


def test_candidates_save_subdomains():
    rng = np.random.default_rng(1)
    model, x = network(rng, 12, 20, 20, 20, 3), rng.random((6, 12))
    x = tf.constant(x, tf.float32)
    y = tf.argmax(model(x), axis=1, output_type=tf.int32)
    visited = {}
    for count in (1, 6):
        verifier = BranchAndBound(LINF, timeout=600.0, candidates=count)
        answer = verifier.answer(model, x, y)
        assert "unknown" not in answer.verdict
        visited[count] = np.sum(answer.visited), answer.verdict.tolist()
    assert visited[1][1] == visited[6][1]
    assert visited[6][0] < 0.9 * visited[1][0]
