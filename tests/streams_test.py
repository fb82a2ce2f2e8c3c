import numpy as np
import pytest
import tensorflow as tf

from tfrobust import streams

pytestmark = pytest.mark.keras_free


def rows(count=4, features=5000):
    return np.random.default_rng(0).random((count, features), np.float32)


def correlation(a, b):
    return abs(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1])


def test_uniform_numbers_fill_the_unit_interval_evenly():
    drawn = streams.uniform(rows(), seed=1).numpy()
    counts, _ = np.histogram(drawn, bins=50, range=(0, 1))
    # Chi-squared with 49 degrees of freedom: 3 standard deviations.
    assert ((counts - 400) ** 2 / 400).sum() < 49 + 3 * 98**0.5
    assert drawn.min() >= 0
    assert drawn.max() < 1


def test_normal_numbers_have_the_moments_of_a_normal():
    drawn = streams.normal(rows(), seed=1).numpy()
    moments = [(drawn**power).mean() for power in (1, 2, 3, 4)]
    np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=0.15)
    assert np.isfinite(drawn).all()


@pytest.mark.parametrize("draw", [streams.uniform, streams.normal])
def test_neighbours_in_a_row_are_uncorrelated(draw):
    drawn = draw(rows(), seed=1).numpy()
    for lag in (1, 2, 3, 64):
        assert correlation(drawn[:, :-lag], drawn[:, lag:]) < 0.03


@pytest.mark.parametrize("draw", [streams.uniform, streams.normal])
def test_rows_seeds_and_streams_are_independent(draw):
    x = rows()
    drawn = draw(x, seed=1).numpy()
    assert correlation(drawn[0], drawn[1]) < 0.05
    assert correlation(drawn, draw(x, seed=2)) < 0.03
    assert correlation(drawn, draw(x, seed=1, stream=4)) < 0.03


def test_rows_that_differ_in_one_value_have_independent_streams():
    x = rows(2)
    x[1] = x[0]
    x[1, 7] += 0.01
    drawn = streams.uniform(x, seed=1).numpy()
    assert correlation(drawn[0], drawn[1]) < 0.05


def test_many_rows_have_many_keys():
    x = rows(3000, 3)
    first = streams.uniform(x, seed=1).numpy()[:, 0]
    assert len(np.unique(first)) >= 2998


@pytest.mark.parametrize(
    "draw", [streams.uniform, streams.normal, streams.per_example]
)
def test_a_stream_depends_on_its_own_row_alone(draw):
    x = rows(6, 8).reshape(6, 2, 4)
    together = draw(x, seed=3).numpy()
    np.testing.assert_array_equal(draw(x[::-1], seed=3), together[::-1])
    for i in range(6):
        np.testing.assert_array_equal(draw(x[i : i + 1], 3)[0], together[i])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_graph_draws_the_same_numbers(jit_compile):
    x = rows(3, 8)
    compiled = tf.function(streams.uniform, jit_compile=jit_compile)
    np.testing.assert_array_equal(
        compiled(tf.constant(x), tf.constant(5)), streams.uniform(x, 5)
    )


def test_one_number_for_each_example_has_the_shape_that_broadcasts():
    x = rows(500, 12).reshape(500, 2, 3, 2)
    drawn = streams.per_example(x, seed=1).numpy()
    assert drawn.shape == (500, 1, 1, 1)
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.05)


def test_folding_gives_a_seed_for_every_pair_of_numbers():
    seeds = {int(streams.fold(a, b)) for a in range(20) for b in range(20)}
    assert len(seeds) == 400


def test_negative_and_large_seeds_are_accepted():
    x = rows(1, 8)
    drawn = [streams.uniform(x, seed).numpy() for seed in (-1, 0, 2**40 + 1)]
    assert not np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[1], drawn[2])


def test_keys_draw_what_their_rows_draw():
    x = rows(3, 8)
    keyed = streams.draw(streams.keys(x), streams.fold(5, 2), count=8)
    np.testing.assert_array_equal(keyed, streams.uniform(x, 5, stream=2))


def test_a_draw_may_be_continued():
    keys = streams.keys(rows(3, 8))
    whole = streams.draw(keys, seed=4, count=9).numpy()
    rest = streams.draw(keys, seed=4, count=5, begin=tf.constant(4))
    np.testing.assert_array_equal(rest, whole[:, 4:])
