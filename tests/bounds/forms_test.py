"""Linear forms, all of a value's or chosen one by one."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.bounds.activation import Relaxation
from tfrobust.bounds.dense import Dense
from tfrobust.bounds.patches import Patches, Window
from tfrobust.bounds.sparse import Examples, Sparse

pytestmark = pytest.mark.keras_free

SHAPE = 7, 6, 2
RNG = np.random.default_rng(0)


def drawn(*shape):
    return tf.constant(RNG.normal(size=shape), "float32")


def rows(start, size, stride=(2, 2)):
    window = Window((3, 3), stride, start, size)
    places = tf.constant([[0, 0, 0], [0, 2, 1], [1, 1, 2], [1, 2, 2]])
    tensor = drawn(2, 4, *size, SHAPE[-1])
    return Sparse(tensor, Examples(tf.constant([0, 0, 1, 1])), window, places)


def test_windows_of_different_sizes_add_up_as_whole_images_do():
    narrow, wide = rows((0, 1), (2, 1)), rows((-1, 0), (4, 3))
    total = narrow.plus(wide, SHAPE)
    assert total.window is not None
    np.testing.assert_allclose(
        total.dense(SHAPE).tensor,
        narrow.dense(SHAPE).tensor + wide.dense(SHAPE).tensor,
        atol=1e-6,
    )


def test_windows_of_different_strides_add_up_as_whole_images_do():
    near, far = rows((0, 0), (3, 2), (1, 1)), rows((0, 0), (2, 2))
    for one, other in ((near, far), (far, near)):
        np.testing.assert_allclose(
            one.plus(other, SHAPE).dense(SHAPE).tensor,
            near.dense(SHAPE).tensor + far.dense(SHAPE).tensor,
            atol=1e-6,
        )
    near, far = (
        Patches(drawn(1, 3, 3, 2, *w.window.size, SHAPE[-1]), w.window)
        for w in (near, far)
    )
    np.testing.assert_allclose(
        near.plus(far, SHAPE).tensor,
        near.dense(SHAPE).tensor + far.dense(SHAPE).tensor,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    "forms",
    [
        Dense(drawn(1, 6, *SHAPE)),
        Patches(
            drawn(1, 1, 1, 4, 3, 2, SHAPE[-1]),
            Window((3, 3), (2, 2), (-1, 0), (3, 2)),
        ),
    ],
    ids=["dense", "patches"],
)
def test_lines_meet_chosen_forms_as_they_meet_all(forms):
    lines = Relaxation(*(drawn(3, *SHAPE) for _ in range(4)))
    example = tf.constant([1, 1, 2])  # None of the first.
    numbers = tf.constant([[0, 3, 4], [1, 2, 5]])
    examples = Examples(example)
    chosen = forms.chosen(examples, numbers)
    slopes, constant = lines.pull(chosen)
    assert slopes.origin
    again, sums = lines.pull(
        Sparse(chosen.tensor, examples, chosen.window, chosen.places)
    )
    whole = lines.pull(forms.dense(SHAPE))
    pairs = tf.broadcast_to(example, numbers.shape), numbers
    picked = tf.stack(pairs, axis=-1)
    np.testing.assert_allclose(constant, sums, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        constant, tf.gather_nd(whole[1], picked), rtol=1e-5, atol=1e-5
    )
    # A value may be everyone's, and forms too that meet scaled ones.
    for found in (slopes, slopes.plus(chosen), chosen.plus(slopes)):
        plain = Sparse(found.tensor, examples, found.window, found.places)
        for value in (drawn(3, *SHAPE), drawn(1, *SHAPE)):
            np.testing.assert_allclose(
                found.dot(value), plain.dot(value), rtol=1e-5, atol=1e-4
            )
    factor = drawn(3, *SHAPE)  # Of either sign, so that signs change.
    for found in (
        chosen.scaled(factor).negative(),
        chosen.negative().scaled(factor),
    ):
        plain = Sparse(found.tensor, examples, found.window, found.places)
        np.testing.assert_allclose(
            found.dot(factor), plain.dot(factor), rtol=1e-5, atol=1e-4
        )
    for found in (slopes, again):
        np.testing.assert_allclose(
            found.dense(SHAPE).tensor,
            tf.gather_nd(whole[0].tensor, picked),
            atol=1e-5,
        )
