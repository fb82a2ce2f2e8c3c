import numpy as np
import pytest
import tensorflow as tf

from tfrobust.attacks import windows

pytestmark = pytest.mark.keras_free


def test_the_fraction_halves_after_the_queries_of_the_paper():
    fractions = windows.fractions(10_001, 0.8)
    table = {
        (0, 10): 1,
        (11, 50): 2,
        (51, 200): 4,
        (201, 500): 8,
        (501, 1000): 16,
        (1001, 2000): 32,
        (2001, 4000): 64,
        (4001, 6000): 128,
        (6001, 8000): 256,
        (8001, 10_000): 512,
    }
    for (first, last), divisor in table.items():
        expected = np.float32(0.8) / divisor
        np.testing.assert_array_equal(fractions[first : last + 1], expected)


def test_the_schedule_is_rescaled_to_the_queries():
    fractions = windows.fractions(1000, 0.8, rescale=True)
    assert fractions[[1, 2, 5, 6]] == pytest.approx([0.8, 0.4, 0.4, 0.2])
    assert fractions[999] == pytest.approx(0.8 / 512)
    np.testing.assert_array_equal(
        windows.fractions(10_000, 0.5, rescale=True),
        windows.fractions(10_000, 0.5),
    )


@pytest.mark.parametrize(
    ("fraction", "height", "width", "odd", "expected"),
    [
        (0.8, 28, 28, False, (25, 25)),
        (0.05, 28, 28, False, (6, 6)),
        (0.001, 28, 28, False, (1, 1)),
        (0.05, 28, 28, True, (7, 7)),
        (0.001, 28, 28, True, (3, 3)),
        # The width makes up for a side of 16 that a height of 8 can't hold.
        (0.8, 8, 40, False, (8, 32)),
        (0.8, 40, 8, False, (32, 8)),
        (1.0, 8, 40, False, (8, 40)),
        (0.8, 1, 20, False, (1, 16)),
        (0.1, 1, 20, False, (1, 2)),
        (0.1, 1, 20, True, (1, 3)),
        (0.8, 2, 2, True, (2, 2)),
    ],
)
def test_sides_hold_the_fraction(fraction, height, width, odd, expected):
    assert windows.sides(fraction, height, width, odd) == expected


def test_windows_are_placed_evenly_and_within_the_image():
    numbers = tf.range(0, 1, 0.001)
    first = -windows.positions(10, 4, numbers)[:, 0].numpy()
    np.testing.assert_allclose(np.bincount(first), [1000 / 7] * 7, atol=1)
    last = windows.positions(10, 4, tf.constant([1 - 2.0**-24]))
    np.testing.assert_array_equal(last[0], np.arange(10) - 6)


def test_the_pixels_inside_are_those_of_the_window():
    rows = windows.positions(4, 2, tf.constant([0.0, 0.9]))
    columns = windows.positions(5, 3, tf.constant([0.5, 0.9]))
    found = windows.inside(rows, columns, 2, 3)
    expected = np.zeros((2, 4, 5, 1))
    expected[0, 0:2, 1:4] = 1
    expected[1, 2:4, 2:5] = 1
    np.testing.assert_array_equal(found, expected)


def pyramid(rows, columns, half, power):
    """The sum of the paper, over the squares that a pixel lies in."""
    heights = np.zeros((rows, columns))
    for r in range(rows):
        for c in range(columns):
            distance = max(abs(r - rows // 2), abs(c - columns // 2))
            heights[r, c] = sum(
                1 / (half + 1 - k) ** power for k in range(half - distance + 1)
            )
    return heights


@pytest.mark.parametrize("side", [1, 2, 3, 5, 8])
@pytest.mark.parametrize(("stacked", "power"), [(False, 2), (True, 4.0)])
def test_two_pyramids_of_opposite_signs_fill_a_window(side, stacked, power):
    half = side // 2
    left = pyramid(side, half, half, power)
    right = pyramid(side, side - half, half, power)
    expected = np.zeros((9, 10))
    both = np.concatenate([left, -right], axis=1)
    expected[1 : 1 + side, 2 : 2 + side] = both.T if stacked else both
    found = windows.pyramids(
        tf.range(9)[tf.newaxis] - 1,
        tf.range(10)[tf.newaxis] - 2,
        side,
        side,
        tf.constant([stacked]),
        power,
    )
    np.testing.assert_allclose(found[0, :, :, 0], expected, rtol=1e-6)
