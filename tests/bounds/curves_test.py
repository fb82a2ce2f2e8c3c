"""Lines around curves enclose what float64 knows of them, without tolerance."""

import types

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.bounds import curves
from tfrobust.bounds.activation import Activation
from tfrobust.bounds.piecewise import fake_quantization
from tfrobust.graph import Trace

pytestmark = pytest.mark.keras_free

CURVES = {
    "sigmoid": (curves.sigmoid, tf.sigmoid, lambda z: np.tanh(z / 2) / 2 + 0.5),
    "tanh": (curves.tanh, tf.tanh, np.tanh),
    "softplus": (
        curves.softplus,
        tf.math.softplus,
        lambda z: np.logaddexp(z, 0),
    ),
    "elu": (
        curves.elu,
        tf.nn.elu,
        lambda z: np.maximum(z, 0) + np.expm1(np.minimum(z, 0)),
    ),
}
every_curve = pytest.mark.parametrize("name", list(CURVES))


def intervals(count=4000):
    """Lower and upper ends: narrow ones, and ones as wide as raw inputs are."""
    rng = np.random.default_rng(0)
    centre = rng.normal(0, 4, count)
    radius = 10 ** rng.uniform(-5, 1.5, count)
    wide = -(10 ** rng.uniform(-3, 6, count)), 10 ** rng.uniform(-3, 6, count)
    # Steep at one end and flat at the other; a sliver at the bend; huge.
    odd = [-10, -1, -1e-3, -999, -1, -500], [1, 10, 1e-3, 1, 999, 500]
    lower = np.float32(np.concatenate([centre - radius, wide[0], odd[0]]))
    upper = np.float32(np.concatenate([centre + radius, wide[1], odd[1]]))
    return lower, upper


@every_curve
@pytest.mark.parametrize("free", [None, 0.0, 0.7, 1.0])
def test_no_line_crosses_its_curve_by_a_rounding(name, free):
    rule, _, exact = CURVES[name]
    lower, upper = intervals()
    given = None if free is None else tf.fill(lower.shape, free)
    lines = rule(None, tf.constant(lower), tf.constant(upper), given)
    slope, below, steeper, above = np.asarray(lines, np.float64)
    width = np.float64(upper) - lower
    points = [lower + share * width for share in np.linspace(0, 1, 51)]
    points += [np.clip(z, lower, upper) for z in np.linspace(-12.0, 12, 49)]
    for z in map(np.float64, points):
        assert np.all(slope * z + below <= exact(z))
        assert np.all(exact(z) <= steeper * z + above)


@every_curve
def test_no_value_of_a_curve_leaves_its_interval(name):
    _, function, exact = CURVES[name]
    lower, upper = intervals()
    node = types.SimpleNamespace(run=function)
    ends = Activation(None, curved=True).interval(node, [(lower, upper)])
    least, most = np.asarray(ends, np.float64)
    assert np.all(least <= exact(np.float64(lower)))
    assert np.all(exact(np.float64(upper)) <= most)


@pytest.mark.parametrize("upper", [0.2, 1.0, 4.0])
def test_a_tangent_ends_below_the_upper_end_however_wide_the_interval(upper):
    def derivative(z):
        return 4 * tf.sigmoid(2 * z) * tf.sigmoid(-2 * z)

    # The wider, the farther apart are both ends of the last halving.
    lower = -np.geomspace(1, 1e5, 400).astype(np.float32)
    given = lower, tf.fill(lower.shape, upper), tf.ones(lower.shape)
    slope, below = curves._under(tf.tanh, derivative, *given)
    end = np.float64(slope) * np.float32(upper) + np.float64(below)
    assert np.all(end <= np.tanh(upper) + 3e-7)
    # It is no looser than it must be, either.
    assert np.all(end >= np.tanh(upper) - 1e-6 * np.abs(lower) - 3e-7)


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_the_lines_around_an_s_leave_the_least_area(name):
    # [-10, 1]: the last safe tangent is steep, and far below at the other end.
    lower = tf.constant([-10.0, -1.0, -4.0, -3.0, -2.0, 1.0, -30.0])
    upper = tf.constant([1.0, 10.0, 0.5, 3.0, -1.0, 4.0, 2.0])

    def area(alpha):
        lines = CURVES[name][0](None, lower, upper, alpha)
        slope, below, steeper, above = np.asarray(lines, np.float64)
        return (steeper - slope) * (lower + upper) / 2 + above - below

    least = area(None)
    for share in np.linspace(0, 1, 41, dtype=np.float32):
        assert np.all(least <= area(tf.fill(lower.shape, share)) + 1e-5)
    # A steep tangent and a flat one differ by more than a trifle.
    assert np.max(area(tf.ones_like(lower)) - least) > 0.5


def test_no_value_of_a_grid_leaves_its_lines():
    def rounded(x, training=False):
        return tf.quantization.fake_quant_with_min_max_args(x, -1.5, 2.0, 3)

    points = np.linspace(-2, 2.5, 901, dtype=np.float32)[:, np.newaxis]
    node = Trace(rounded, tf.constant(points)).output
    values = rounded(points).numpy().astype(float)
    rng = np.random.default_rng(0)
    ends = np.sort(rng.choice(points[:, 0], (2, 300)), axis=0)
    lines = fake_quantization(node, *map(tf.constant, ends))
    slope, below, steeper, above = np.asarray(lines, np.float64)
    within = (ends[0] <= points) & (points <= ends[1])
    assert np.all((slope * points + below <= values) | ~within)
    assert np.all((values <= steeper * points + above) | ~within)
    assert 0 < np.mean(slope) < 1  # Some are flat, some are not.
