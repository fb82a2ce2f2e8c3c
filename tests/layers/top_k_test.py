import numpy as np
import pytest
import tensorflow as tf

from tfrobust.layers.top_k import kept_count, top_k_mask

RNG = np.random.default_rng(0)
SCORES = {
    "continuous": RNG.normal(size=(7, 5, 3)),
    "tied": RNG.integers(-2, 3, (7, 5, 3)),
    "equal": np.full((7, 5, 3), -0.5),
    "zero": np.zeros((7, 5, 3)),
    "tiny": 1e-40 * RNG.normal(size=(7, 5, 3)),
    "huge": 1e38 * RNG.uniform(-1, 1, (7, 5, 3)),
}


def by_sorting(scores, kept):
    order = np.argsort(-np.abs(scores).ravel(), kind="stable")
    mask = np.zeros(scores.size, np.float32)
    mask[order[:kept]] = 1
    return mask.reshape(scores.shape)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("wrap", [lambda f: f, tf.function])
def test_it_keeps_what_sorting_keeps(name, wrap):
    scores = SCORES[name].astype(np.float32)
    for kept in (1, 2, 52, 104, 105):
        mask = wrap(lambda s, kept=kept: top_k_mask(s, kept))(scores).numpy()
        np.testing.assert_array_equal(mask, by_sorting(scores, kept))


def test_it_compiles():
    scores = SCORES["tied"].astype(np.float32)
    compiled = tf.function(lambda s: top_k_mask(s, 30), jit_compile=True)
    np.testing.assert_array_equal(compiled(scores), by_sorting(scores, 30))


@pytest.mark.parametrize(
    ("size", "density", "kept"),
    [(10, 1.0, 10), (10, 0.25, 3), (10, 0.3, 3), (10, 1e-9, 1), (7, 0.5, 4)],
)
def test_what_is_removed_rounds_down(size, density, kept):
    assert kept_count(size, density) == kept
