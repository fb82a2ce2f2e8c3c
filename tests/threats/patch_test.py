"""The square that an attacker may fill, `Patch`."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.threats import Patch

pytestmark = pytest.mark.keras_free

X = np.random.default_rng(0).uniform(size=(1, 5, 7, 2)).astype(np.float32)


def filled(row, column, height, width, value=0.0):
    x = X.copy()
    x[:, row : row + height, column : column + width] = value
    return x


def test_what_changed_within_one_square_is_in_the_patch():
    patch = Patch(3)
    for row in range(3):
        for column in range(5):
            assert patch.contains(X, filled(row, column, 3, 3))
            assert patch.contains(X, filled(row, column, 1, 2))
    assert patch.contains(X, X)
    assert not patch.contains(X, filled(0, 0, 4, 1))
    assert not patch.contains(X, filled(0, 0, 1, 4))
    far = filled(0, 0, 1, 1)
    far[0, 4, 6, 1] = 0.5
    assert not patch.contains(X, far)
    assert not patch.contains(X, filled(0, 0, 2, 2, 1.1))
    assert not patch.contains(X, filled(0, 0, 2, 2, np.nan))


def test_a_given_corner_holds_the_square():
    patch = Patch(2, corner=(1, 3))
    assert patch.contains(X, filled(1, 3, 2, 2))
    assert patch.contains(X, filled(2, 4, 1, 1))
    assert not patch.contains(X, filled(1, 2, 2, 2))
    assert not patch.contains(X, filled(2, 3, 2, 2))


def test_rows_are_judged_alone():
    together = np.concatenate([X, X, X])
    points = np.concatenate([filled(0, 0, 4, 4), X, filled(2, 2, 3, 3)])
    inside = Patch(3).contains(together, points)
    np.testing.assert_array_equal(inside, [False, True, True])


def test_the_mask_marks_the_square_of_each_image():
    x, corners = tf.zeros([2, 5, 7, 2]), tf.constant([[0, 1], [2, 4]])
    mask = Patch(3).mask_at(x, corners).numpy()
    expected = np.zeros((2, 5, 7, 1))
    expected[0, 0:3, 1:4] = expected[1, 2:5, 4:7] = 1
    np.testing.assert_array_equal(mask, expected)


def test_the_box_of_a_square_holds_all_of_its_values():
    x = tf.constant(X)
    box = Patch(2).box_at(x, tf.constant([[1, 2]]))
    lower, upper = (end.numpy() for end in box.box(x))
    np.testing.assert_array_equal(lower, filled(1, 2, 2, 2, 0.0))
    np.testing.assert_array_equal(upper, filled(1, 2, 2, 2, 1.0))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"size": 0}, "`size` must be at least 1"),
        ({"size": 2, "high": np.inf}, "`high` must be finite"),
        ({"size": 2, "corner": (1,)}, "`corner` must be a row and a column"),
        ({"size": 2, "corner": (-1, 0)}, "`corner` must be at least 0"),
    ],
)
def test_bad_arguments_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Patch(**arguments)


def test_a_square_must_fit_and_inputs_be_images():
    for patch in (Patch(6), Patch(2, corner=(4, 0))):
        with pytest.raises(ValueError, match="leave the patch within the im"):
            patch.contains(X, X)
    with pytest.raises(ValueError, match="must hold images of shape"):
        Patch(2).checked(X[0])
    with pytest.raises(ValueError, match="valid range"):
        Patch(2).checked(X + 1)
