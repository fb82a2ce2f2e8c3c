"""The sine and the cosine stay between their lines."""

import numpy as np
import pytest
import tensorflow as tf

from tests.bounds.sampled import slack
from tfrobust.bounds.periodic import Sine

pytestmark = pytest.mark.keras_free
WAVES = {"sin": (Sine(0.0), np.sin), "cos": (Sine(np.pi / 2), np.cos)}


def intervals():
    rng = np.random.default_rng(0)
    centre = np.concatenate(
        [rng.normal(0, 5, 400), rng.normal(0, 3000, 200), [1e5, 3e7]]
    )
    radius = 10 ** rng.uniform(-6, 1, centre.shape)
    quarter = np.arange(-8, 9) * np.pi / 2
    lower = np.concatenate([centre - radius, quarter, quarter - 1.3])
    upper = np.concatenate([centre + radius, quarter + 2.1, quarter])
    return np.float32(lower), np.float32(upper)


@pytest.mark.parametrize("name", list(WAVES))
@pytest.mark.parametrize("free", [None, 0.3])
def test_no_line_crosses_a_wave(name, free):
    rule, exact = WAVES[name]
    lower, upper = intervals()
    alpha = None if free is None else tf.fill(lower.shape, free)
    found = rule._between(None, tf.constant(lower), tf.constant(upper), alpha)
    slope, below, steeper, above = np.asarray(found, np.float64)
    for z in np.linspace(lower, upper, 301, dtype=np.float64):
        value = exact(z)
        assert np.all(slope * z + below <= value)
        assert np.all(value <= steeper * z + above)


@pytest.mark.parametrize("name", list(WAVES))
def test_its_interval_is_tight(name):
    rule, exact = WAVES[name]
    lower, upper = intervals()
    ends = rule.interval(None, [(tf.constant(lower), tf.constant(upper))])
    least, most = np.asarray(ends, np.float64)
    values = exact(np.linspace(lower, upper, 2001, dtype=np.float64))
    assert np.all(least <= values.min(0)) and np.all(values.max(0) <= most)
    known = (np.abs(lower) < 9e3) & (upper - lower < 20)
    assert np.all((values.min(0) - least)[known] < 1e-4)
    assert np.all((most - values.max(0))[known] < 1e-4)


def test_waves_are_bounded_in_a_network():
    found = slack(lambda x: tf.sin(2 * x) + tf.cos(x), (3,))
    assert np.all(found < 30)


@pytest.mark.parametrize("name", list(WAVES))
def test_lines_are_nearly_the_closest_in_the_middle(name):
    rule, exact = WAVES[name]
    lower = np.float32([-1.0, 0.2, -3.0, 0.0, 2.0])
    upper = np.float32([1.0, 0.9, 1.0, 5.0, 4.5])
    found = rule._between(None, tf.constant(lower), tf.constant(upper))
    slope, below, steeper, above = np.asarray(found, np.float64)
    grid = np.linspace(lower, upper, 401, dtype=np.float64)
    middle, value = grid[200], exact(grid)
    # The convex envelope, by all chords over the middle.
    left, right = grid[:200, np.newaxis], grid[201:]
    share = (middle - left) / (right - left)
    for sign, reached in (
        (1, slope * middle + below),
        (-1, steeper * middle + above),
    ):
        before, after = sign * value[:200, np.newaxis], sign * value[201:]
        least = np.min(before + share * (after - before), axis=(0, 1))
        least = np.minimum(least, sign * value[200])
        assert np.all(sign * reached >= least - 0.06)
