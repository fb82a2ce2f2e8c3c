"""Rotations and translations, `Spatial`."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.threats import Spatial

pytestmark = pytest.mark.keras_free

X = np.random.default_rng(0).uniform(size=(2, 6, 5, 2)).astype(np.float32)


def turned(image, degrees, down, right, fill):
    """The image by a loop over pixels: where each of them comes from."""
    height, width, _ = image.shape
    sine, cosine = (
        math.sin(math.radians(degrees)),
        math.cos(math.radians(degrees)),
    )

    def at(row, column):
        inside = 0 <= row < height and 0 <= column < width
        return image[row, column] if inside else np.full(2, fill)

    found = np.zeros_like(image)
    for r in range(height):
        for c in range(width):
            dr = r - (height - 1) / 2 - down
            dc = c - (width - 1) / 2 - right
            row = (height - 1) / 2 + sine * dc + cosine * dr
            column = (width - 1) / 2 + cosine * dc - sine * dr
            y, x = math.floor(row), math.floor(column)
            v, h = row - y, column - x
            found[r, c] = (
                (1 - v) * (1 - h) * at(y, x)
                + (1 - v) * h * at(y, x + 1)
                + v * (1 - h) * at(y + 1, x)
                + v * h * at(y + 1, x + 1)
            )
    return found


def test_every_member_is_what_a_loop_over_pixels_gives():
    threat = Spatial(25.0, 1.5, angles=3, shifts=3, fill=0.25)
    assert threat.members.shape == (27, 3)
    for member in threat.members:
        found = threat.turned(X, tf.constant([member, member]))
        for k in range(2):
            expected = turned(X[k], *member, fill=0.25)
            np.testing.assert_allclose(found[k], expected, atol=1e-5)


def test_a_quarter_turn_is_counter_clockwise_and_shifts_go_down_and_right():
    threat, square = Spatial(), X[:, :5]
    quarter = threat.turned(square, tf.constant([[90.0, 0, 0]] * 2))
    np.testing.assert_allclose(
        quarter, np.rot90(square, axes=(1, 2)), atol=1e-5
    )
    moved = threat.turned(X, tf.constant([[0.0, 1.0, 2.0]] * 2)).numpy()
    np.testing.assert_array_equal(moved[:, 1:, 2:], X[:, :-1, :-2])
    assert not moved[:, 0].any() and not moved[:, :, :2].any()


def test_the_image_itself_is_a_member_to_the_bit():
    threat = Spatial(30.0, 3.0, angles=5, shifts=3)
    still = [m for m in threat.members if not m.any()]
    assert len(still) == 1
    found = threat.turned(X, tf.constant([still[0]] * 2))
    np.testing.assert_array_equal(found, X)


def test_members_alone_are_contained():
    threat = Spatial(20.0, 1.0, angles=3, shifts=3)
    for member in threat.members[::5]:
        point = threat.turned(X, tf.constant([member, member]))
        assert np.all(threat.contains(X, point))
    half = threat.turned(X, tf.constant([[10.0, 0, 0], [20.0, 1.0, 1.0]]))
    np.testing.assert_array_equal(threat.contains(X, half), [False, True])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rotation", 181),
        ("translation", -1),
        ("angles", 4),
        ("shifts", 0),
        ("fill", 2),
    ],
)
def test_bad_arguments_are_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must"):
        Spatial(**{name: value})
