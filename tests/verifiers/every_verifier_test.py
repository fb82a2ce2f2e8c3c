"""Every verifier answers on networks of every kind, in batches of any size."""

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tests.verifiers.conftest import NETWORKS, chain, layers, randomize
from tfrobust.backend import keras

pytestmark = pytest.mark.one_keras  # See `ops_test.py`.

LINF = tfr.threats.Linf(0.02)


def permuted():
    """As what is ported from a framework with the channels first."""
    return chain(
        (2, 3, 4),
        layers.Permute((2, 3, 1)),
        layers.Flatten(),
        layers.Dense(6),
        layers.ReLU(),
        layers.Dense(10),
    )


def of_ten_classes():
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(12, activation="relu"),
            layers.Dense(12, activation="relu"),
            layers.Dense(10),
        ]
    )


def sorting():
    return chain(
        (6, 6, 1),
        layers.Conv2D(6, 3, strides=2),
        tfr.layers.MinMax(),
        layers.Conv2D(4, 2),
        tfr.layers.MinMax(),
    )


TABLE = {
    "permuted": permuted,
    "sorting": sorting,
    "ten classes": of_ten_classes,
} | {
    name: NETWORKS[name]
    for name in ("residual", "max pooling", "joined", "moves", "sigmoid")
}
every_network = pytest.mark.parametrize("name", list(TABLE))


def drawn(name):
    rng = np.random.default_rng(4)
    network = TABLE[name]()
    randomize(network, rng)
    x = rng.uniform(0.1, 0.9, (3, *network.input_shape[1:]))
    return network, x.astype(np.float32), np.argmax(network(x), axis=1)


def margins(network, x):
    logits = np.asarray(network(x))
    return np.max(logits, axis=1, keepdims=True) - logits


@pytest.mark.builds_keras
@pytest.mark.parametrize("name", ["permuted", "max pooling"])
def test_the_whole_ladder_certifies_within_little_memory(name):
    network, x, y = drawn(name)
    # So little that examples come one by one, and parts of a threat by a few.
    need = tfr.verifiers.coverage(network, tfr.verifiers.AlphaCROWN(LINF))
    report = tfr.certify(
        network,
        (x, y),
        tfr.verifiers.ladder(LINF, timeout=1.0),
        memory=int(1.5 * need.bytes_per_example),
        verbose=0,
    )
    least = np.array(report.certificates["margin"], float)
    true = np.sort(margins(network, x), axis=1)[:, 1]
    assert np.all(np.isnan(least) | (least <= true))


@every_network
def test_every_verifier_answers_alone_and_in_a_batch(name):
    network, x, y = drawn(name)
    for verifier in (
        *tfr.verifiers.ladder(LINF, timeout=0),
        tfr.verifiers.FastLin(LINF),
        tfr.verifiers.PolyhedralEnvelope(LINF),
    ):
        together = verifier.margins(network, x, y)
        assert np.all(together <= margins(network, x))
        alone = verifier.margins(network, x[:1], y[:1])
        np.testing.assert_allclose(alone, together[:1], atol=1e-3)


@pytest.mark.parametrize("batch_size", [1, 8, 64])
def test_branch_and_bound_takes_roots_and_parts_in_one_batch(batch_size):
    network, x, y = drawn("ten classes")
    verifier = tfr.verifiers.BranchAndBound(
        tfr.threats.Linf(0.5), timeout=20.0, batch_size=batch_size
    )
    answer = verifier.answer(network, x, y)
    assert np.max(answer.visited) > 9  # More than the roots.
    assert np.all(answer.margins <= margins(network, x))
    wrong = tf.argmax(network(answer.counterexample), axis=1).numpy() != y
    np.testing.assert_array_equal(answer.verdict == "falsified", wrong)
