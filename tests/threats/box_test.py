import numpy as np
import pytest
import tensorflow as tf

from tfrobust import schedules
from tfrobust.threats import Box, Linf

pytestmark = pytest.mark.keras_free

X = np.array([[0.5, 0.1, 1.0], [0.0, 0.95, 0.5]], np.float32)
RADIUS = [0.1, 0.2, 0.3]


def test_every_feature_has_its_radius_within_the_range():
    lower, upper = Box(RADIUS).box(X)
    np.testing.assert_allclose(
        lower, [[0.4, 0, 0.7], [0, 0.75, 0.2]], atol=1e-7
    )
    np.testing.assert_allclose(upper, [[0.6, 0.3, 1], [0.1, 1, 0.8]], rtol=1e-6)


def test_one_radius_for_each_feature_holds_even_for_as_many_examples():
    # Of a Linf these would be the radii of three examples.
    x = np.full((3, 3), 0.5, np.float32)
    reach = Box(RADIUS).box(x)[1] - x
    np.testing.assert_allclose(reach, [RADIUS] * 3, rtol=1e-6)
    reach = Box(tf.constant(RADIUS)).box(x)[1] - x
    np.testing.assert_allclose(reach, [RADIUS] * 3, rtol=1e-6)


def test_beyond_the_range_the_range_alone_bounds():
    lower, upper = Box(np.full((2, 3), 1e9), 0.0, 1.0).box(X)
    np.testing.assert_array_equal(lower, np.zeros((2, 3)))
    np.testing.assert_array_equal(upper, np.ones((2, 3)))
    support = Box(np.full((2, 3), 1e9)).support(X, np.ones_like(X))
    np.testing.assert_allclose(support, [1.4, 1.55], rtol=1e-6)


def test_it_is_linf_with_radii(case):
    scale = np.reshape(case.scale, case.x.shape)
    box, linf = Box(scale, -0.5, 1.5), Linf(scale, -0.5, 1.5)
    for method, arguments in {
        "project": [case.moved],
        "ascend": [case.x, case.gradient, 0.3],
        "support": [case.gradient],
        "contains": [case.moved],
        "sample": [4],
    }.items():
        np.testing.assert_array_equal(
            getattr(box, method)(case.x, *arguments),
            getattr(linf, method)(case.x, *arguments),
        )


def test_its_radius_is_the_epsilon_that_others_replace():
    box = Box(RADIUS)
    np.testing.assert_allclose(box.radius, [RADIUS], rtol=1e-6)
    narrow = box.replace(epsilon=0.5 * box.epsilon)
    np.testing.assert_allclose(narrow.radius[0], [0.05, 0.1, 0.15], rtol=1e-6)
    assert list(narrow.get_config()) == ["radius", "low", "high", "mask"]


@pytest.mark.parametrize("radius", [0.1, schedules.Ramp(0.0, 0.1, end=5)])
def test_one_radius_for_all_is_refused(radius):
    with pytest.raises(ValueError, match="each feature.*Linf.*radius="):
        Box(radius)


@pytest.mark.parametrize("radius", [[0.1, -0.1], [np.inf, 1], [np.nan, 1]])
def test_a_radius_that_is_no_length_is_refused(radius):
    with pytest.raises(ValueError, match="finite and not negative"):
        Box(radius)
