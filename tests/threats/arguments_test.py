import numpy as np
import pytest
import tensorflow as tf

from tfrobust.threats import L1, L2, Box, Linf

pytestmark = pytest.mark.keras_free

X = np.full((2, 3), 0.5, np.float32)
NORMS = [Linf, L2, L1]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("epsilon", ["0.1", None, True, ["0.1", "0.2"], {}])
def test_a_radius_that_is_no_number_is_refused(norm, epsilon):
    with pytest.raises(TypeError, match="`epsilon` must be a number"):
        norm(epsilon)
    with pytest.raises(TypeError, match="`epsilon` must be a number"):
        norm(0.1).replace(epsilon=epsilon)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("epsilon", [1, np.float32(0.5), np.array(0.5), 0])
def test_every_number_is_a_radius(norm, epsilon):
    threat = norm(epsilon, 0.0, 2.0)
    assert type(threat.epsilon) is float
    assert threat.epsilon == epsilon


@pytest.mark.parametrize("norm", [*NORMS, lambda _, *ends: Box([1, 1], *ends)])
@pytest.mark.parametrize("end", ["0", None, ["a"], [np.nan], []])
def test_a_range_that_holds_no_numbers_is_refused(norm, end):
    with pytest.raises(TypeError, match="`low` must be one number.*for each"):
        norm(0.1, end, 1.0)
    with pytest.raises(TypeError, match="`high` must be one number.*for each"):
        norm(0.1, 0.0, end)


@pytest.mark.parametrize("norm", NORMS)
def test_an_empty_range_is_refused_by_replace_too(norm):
    with pytest.raises(ValueError, match="`low` must be below `high`"):
        norm(0.1).replace(low=2.0)
    with pytest.raises(TypeError, match="must name what .* has: .*epsilom"):
        norm(0.1).replace(epsilom=0.2)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("mask", [[1, 0, 2], [0.5, 1, 1], [-1, 0, 0], [np.nan]])
def test_a_mask_holds_zeros_and_ones(norm, mask):
    with pytest.raises(ValueError, match="`mask` must be 1 where"):
        norm(0.1, mask=mask)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("shape", [(2,), (4, 3), (1, 2, 3)])
def test_a_mask_of_another_shape_is_refused(norm, shape):
    threat = norm(0.1, mask=np.ones(shape))
    for use in (threat.sample, threat.box, threat.room, threat.radii):
        with pytest.raises(
            ValueError, match=r"`mask` must broadcast.*\(2, 3\)"
        ):
            use(X)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("mask", [[True, False, True], [[1], [0]], 1])
def test_a_mask_that_broadcasts_is_taken(norm, mask):
    moved = norm(0.1, mask=mask).sample(X) != X
    expected = np.broadcast_to(np.asarray(mask, bool), X.shape)
    np.testing.assert_array_equal(moved, expected)


def test_of_vectors_one_radius_for_each_feature_has_an_axis_of_one():
    radii = np.array([0.1, 0.2, 0.3], np.float32)
    with pytest.raises(ValueError, match=r"\[1, 3\]. Received shape \(3,\)"):
        Linf(radii).box(X)
    upper = Linf(radii[np.newaxis]).box(X)[1]
    np.testing.assert_allclose(upper - X, [radii] * 2, rtol=1e-6)
    np.testing.assert_allclose(Linf(tf.constant([radii])).box(X)[1], upper)


@pytest.mark.parametrize("features", [0, 2.5, True])
def test_a_cap_on_features_is_a_whole_number(features):
    with pytest.raises(ValueError, match="`features` must be at least 1"):
        L1(0.1, features=features)


def test_a_column_that_is_always_the_same_stays_there():
    x = tf.constant([[0.2, 1.0], [0.7, 1.0]])
    low, high = x.numpy().min(axis=0), x.numpy().max(axis=0)
    threat = Box(np.float32([0.3, 0.3]), low, high)
    lower, upper = threat.box(x)
    np.testing.assert_array_equal(lower[:, 1], [1.0, 1.0])
    np.testing.assert_array_equal(upper[:, 1], [1.0, 1.0])
    assert np.all(threat.contains(x, threat.sample(x, 0)))
    with pytest.raises(ValueError, match="`low` must be below `high`"):
        Box(np.float32([0.3, 0.3]), high, low)
