"""What is moved can be moved back."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.instances import CropFlip, Identity

pytestmark = pytest.mark.keras_free

PADDING = 2
X = np.random.default_rng(0).uniform(size=(200, 5, 4, 3)).astype("float32")
INDEX = np.arange(200)
AUGMENTATION = CropFlip(PADDING, fill=0.25)


def by_hand(image, top, left, flipped, padding=PADDING):
    """The window of one canvas, in NumPy."""
    height, width = (n - 2 * padding for n in image.shape[:2])
    window = image[top : top + height, left : left + width]
    return window[:, ::-1] if flipped else window


def drawn(step):
    top, left, flipped = AUGMENTATION.draw(INDEX, step)
    return np.concatenate([top, left, flipped], axis=1)


def test_every_place_and_flip_comes_up():
    places = {tuple(row) for row in drawn(0)} | {tuple(row) for row in drawn(1)}
    assert len(places) == 50
    assert np.min(drawn(0)[:, :2]) == 0
    assert np.max(drawn(0)[:, :2]) == 2 * PADDING


def test_inputs_are_padded_cropped_and_flipped():
    pad = ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0))
    padded = np.pad(X, pad, constant_values=0.25)
    expected = [
        by_hand(image, *row)
        for image, row in zip(padded, drawn(3), strict=True)
    ]
    found = AUGMENTATION.apply(X, INDEX, 3)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("step", [0, 7])
def test_what_is_written_back_is_seen_again_and_no_more(step):
    canvas = tf.random.stateless_uniform((200, 9, 8, 3), (0, 1), -1, 1)
    moved = AUGMENTATION.window(canvas, INDEX, step)
    np.testing.assert_array_equal(
        AUGMENTATION.restore(canvas, moved, INDEX, step), canvas
    )
    new = AUGMENTATION.restore(canvas, X, INDEX, step)
    np.testing.assert_array_equal(AUGMENTATION.window(new, INDEX, step), X)
    changed = np.any(new != canvas, axis=-1)
    for mask, (top, left, _) in zip(changed, drawn(step), strict=True):
        expected = np.zeros((9, 8), bool)
        expected[top : top + 5, left : left + 4] = True
        np.testing.assert_array_equal(mask, expected)


def test_it_depends_on_instance_step_and_seed_alone():
    whole = AUGMENTATION.apply(X, INDEX, 3)
    some = AUGMENTATION.apply(X[50:60], INDEX[50:60], 3)
    np.testing.assert_array_equal(some, whole[50:60])
    compiled = tf.function(AUGMENTATION.apply, autograph=False)
    np.testing.assert_array_equal(compiled(X, INDEX, tf.constant(3)), whole)
    assert np.any(AUGMENTATION.apply(X, INDEX, 4) != whole)
    other = AUGMENTATION.replace(seed=1)
    assert np.any(other.apply(X, INDEX, 3) != whole)


def test_without_flip_none_is_flipped():
    still = CropFlip(0, flip=False)
    np.testing.assert_array_equal(still.apply(X, INDEX, 3), X)
    assert still.canvas((5, 4, 3)) == (5, 4, 3)


def test_the_identity_leaves_all_alone():
    same = Identity()
    assert same.canvas((7,)) == (7,)
    np.testing.assert_array_equal(same.apply(X, INDEX, 0), X)
    np.testing.assert_array_equal(same.window(X, INDEX, 0), X)
    np.testing.assert_array_equal(same.restore(X, 2 * X, INDEX, 0), 2 * X)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"padding": -1}, "`padding` must be"), ({"fill": np.nan}, "`fill` must")],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        CropFlip(**arguments)


def test_only_images_are_cropped():
    with pytest.raises(ValueError, match="shape \\(height, width, channels\\)"):
        AUGMENTATION.canvas((784,))
