import numpy as np
import pytest
import tensorflow as tf

from tfrobust.attacks.active import (
    choose,
    on_active,
    while_active,
    worse,
)
from tfrobust.backend import keras
from tfrobust.threats import Linf

pytestmark = pytest.mark.keras_free

X = np.arange(24, dtype=np.float32).reshape(8, 3) / 24
FREE = Linf(0.1)
# How often each example moves before it is finished.
LIVES = np.array([9, 2, 0, 4, 2, 1, 9, 3], np.float32)


def test_only_the_active_are_run_and_the_others_keep_their_state():
    active = np.array([0, 1, 0, 0, 1, 1, 0, 0], bool)
    sizes = []

    def run(state, threat, x, y):
        sizes.append(len(x))
        return {"sum": state["sum"] + x[:, 0] + y}

    state = {"sum": tf.ones(8)}
    y = tf.range(8.0)
    found = on_active(run, active, state, FREE, X, y)["sum"]
    expected = np.where(active, 1 + X[:, 0] + np.arange(8), 1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert sizes == [3]


@pytest.mark.builds_keras
@pytest.mark.parametrize("wrap", [lambda f: f, tf.function])
def test_nobody_active_is_nothing_to_run(wrap):
    # On an empty batch, the gradient of a max pooling ends the process.
    pool = keras.layers.MaxPooling2D()

    def run(state, threat, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(pool(x))
        return state + tape.gradient(total, x)

    @wrap
    def ran(active):
        return on_active(run, active, images, FREE, images)

    images = tf.ones([2, 4, 4, 1])
    np.testing.assert_array_equal(ran(tf.constant([False, False])), images)
    assert np.max(ran(tf.constant([True, False]))) == 2


@pytest.mark.parametrize(
    ("epsilon", "mask"),
    [
        (0.1, None),
        (tf.range(8.0) / 9, None),
        (tf.constant([[0.1, 0.2, 0.3]]), np.array([1, 0, 1])),
        (tf.constant(X[::-1]), None),
        (0.1, (X[:, :1] > 0.4).astype(np.float32)),
    ],
    ids=["number", "example", "feature", "both", "mask"],
)
def test_the_threat_of_an_example_goes_with_it(epsilon, mask):
    threat = Linf(0.1, mask=mask).replace(epsilon=epsilon)

    def run(state, threat, x):
        return threat.box(x)[1]

    active = np.arange(8) % 3 == 1
    found = on_active(run, active, tf.constant(X), threat, X)
    expected = np.where(active[:, np.newaxis], threat.box(X)[1], X)
    np.testing.assert_array_equal(found, expected)


def live(number, state, threat, x):
    """Moves by x, and counts."""
    moved, lives = state
    active = lives > 0
    return choose(active, (moved + x, lives - 1), state)


def active(state):
    return state[1] > 0


@pytest.mark.parametrize("wrap", [lambda f: f, tf.function])
@pytest.mark.parametrize("active", [active, None])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_loop_gives_the_same_however_it_is_grouped(wrap, active, count):
    @wrap
    def loop():
        state = tf.zeros_like(X), tf.constant(LIVES)
        return while_active(live, active, count, state, FREE, X)

    moved, lives = loop()
    steps = np.minimum(LIVES, count)
    np.testing.assert_allclose(moved, X * steps[:, np.newaxis], rtol=1e-6)
    np.testing.assert_array_equal(lives, LIVES - steps)


def test_a_loop_regroups_once_an_eighth_is_finished():
    sizes = []

    def step(number, state, threat, x):
        assert number == len(sizes)
        sizes.append(len(x))
        return live(number, state, threat, x)

    lives = tf.constant([1.0, 2, 3] + [9] * 14)
    x = tf.zeros([17, 3])
    while_active(step, active, 99, (x, lives), FREE, x)
    # Of 17 it takes three to regroup.
    assert sizes == [17] * 3 + [14] * 6
    sizes.clear()
    state = tf.zeros_like(X), tf.constant(LIVES)
    while_active(step, active, 7, state, FREE, X)
    # Left are 7, 6, 4, 3, 2, 2, 2.
    assert sizes == [7, 6, 4, 3, 2, 2, 2]


def test_static_shapes_stay_static_if_nobody_finishes():
    shapes = []

    def step(number, state, threat, x):
        shapes.append(x.shape)
        return state + 1

    loop = tf.function(
        lambda x: while_active(step, None, 3, tf.zeros(8), FREE, x)
    )
    np.testing.assert_array_equal(loop(tf.constant(X)), np.full(8, 3))
    assert set(shapes) == {tf.TensorShape([8, 3])}


def test_rows_are_chosen_in_every_tensor_of_a_nest():
    mask = np.array([True, False])
    new, old = (np.ones((2, 3)), np.ones(2)), (np.zeros((2, 3)), np.zeros(2))
    rows, values = choose(mask, new, old)
    np.testing.assert_array_equal(rows, [[1, 1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(values, [1, 0])


def test_of_equal_losses_the_first_found_is_kept():
    losses = tf.constant([1.0, 2.0, 1.0, -np.inf, np.inf])
    old = tf.zeros([5, 2]), tf.constant([1.0, 1.0, 2.0, -np.inf, np.inf])
    points, kept = worse((tf.ones([5, 2]), losses), old)
    np.testing.assert_array_equal(points[:, 0], [0, 1, 0, 0, 0])
    np.testing.assert_array_equal(kept, [1, 2, 2, -np.inf, np.inf])
