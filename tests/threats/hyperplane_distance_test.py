import math
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize

from tfrobust.threats import L1, L2, Linf, hyperplane, water_filling

pytestmark = pytest.mark.keras_free

THREATS = {1.0: L1(1.0), 2.0: L2(1.0), math.inf: Linf(0.5)}
FAR = np.full((1, 1, 1), 1e6)

every_order = pytest.mark.parametrize("order", list(THREATS))


def problem(rows=20, features=7, share=None):
    """Hyperplanes ahead, at a share of what the box reaches towards them."""
    rng = np.random.default_rng(4)
    normal = rng.normal(size=(rows, 2, features)).astype(np.float32)
    lower = -rng.uniform(size=(rows, 1, features))
    upper = rng.uniform(size=(rows, 1, features))
    # Some features are stuck at a face, some have no influence.
    lower[:8] *= rng.integers(0, 2, lower[:8].shape)
    upper[:8] *= rng.integers(0, 2, upper[:8].shape)
    normal[4:12] *= rng.integers(0, 2, normal[4:12].shape)
    lower, upper = lower.astype(np.float32), upper.astype(np.float32)
    reach = -np.minimum(normal * lower, normal * upper).sum(axis=-1)
    if share is None:
        share = rng.uniform(0.02, 0.98, reach.shape)
    return normal, (share * reach).astype(np.float32), lower, upper


def solved(order, normal, offset, lower, upper):
    """The least norm of a move to one hyperplane, by SciPy."""
    gain, room = np.abs(normal), np.where(normal > 0, -lower, upper)
    if order == 2:

        def missing(speed):
            return gain @ np.minimum(speed * gain, room) - offset

        speed = optimize.brentq(missing, 0, 1e9, xtol=1e-13)
        return np.linalg.norm(np.minimum(speed * gain, room))
    count = len(gain)
    if order == 1:
        return optimize.linprog(
            np.ones(count), A_eq=[gain], b_eq=[offset], bounds=_upto(room)
        ).fun
    # The largest move comes last, and no other exceeds it.
    return optimize.linprog(
        np.append(np.zeros(count), 1.0),
        np.hstack([np.eye(count), -np.ones((count, 1))]),
        np.zeros(count),
        [np.append(gain, 0.0)],
        [offset],
        [*_upto(room), (0, None)],
    ).fun


def _upto(room):
    return [(0, length) for length in room]


@every_order
def test_it_is_what_scipy_finds(order):
    normal, offset, lower, upper = problem()
    distance = hyperplane.distance(THREATS[order], normal, offset, lower, upper)
    distance = distance.numpy()
    for k in range(len(normal)):
        for j in range(2):
            exact = [a.astype(float) for a in (normal[k, j], offset[k, j])]
            least = solved(order, *exact, lower[k, 0], upper[k, 0])
            assert distance[k, j] == pytest.approx(least, rel=1e-6)


@pytest.mark.parametrize(
    ("order", "expected"),
    [(1, 0.75), (2, math.sqrt(0.2**2 + 0.25**2 + 0.4**2)), (math.inf, 1 / 3)],
)
def test_a_distance_done_by_hand(order, expected):
    # The second feature stops at the box and has made 1 of 2. The rest is
    # made by the third alone, in proportion to the gains, or evenly.
    distance = hyperplane.distance(
        THREATS[order],
        [[[-1.0, 4.0, -2.0]]],
        [[2.0]],
        [[[-1.0, -0.25, -1.0]]],
        [[[1.0, 0.1, 1.0]]],
    )
    np.testing.assert_allclose(distance, [[expected]], rtol=1e-6)


@every_order
def test_without_a_box_it_is_the_offset_by_the_dual_norm(order):
    rng = np.random.default_rng(5)
    normal = rng.normal(size=(4, 3, 6)).astype(np.float32)
    offset = rng.normal(size=(4, 3)).astype(np.float32)
    distance = hyperplane.distance(THREATS[order], normal, offset, -FAR, FAR)
    dual = {1.0: math.inf, 2.0: 2, math.inf: 1}[order]
    expected = offset / np.linalg.norm(normal, dual, axis=-1)
    np.testing.assert_allclose(distance, expected, rtol=1e-6)
    assert np.any(expected < 0)


@every_order
def test_behind_the_hyperplane_the_box_is_ignored(order):
    normal, offset, lower, upper = problem()
    boxed = hyperplane.distance(THREATS[order], normal, -offset, lower, upper)
    free = hyperplane.distance(THREATS[order], normal, -offset, -FAR, FAR)
    np.testing.assert_array_equal(boxed, free)


@every_order
def test_a_smaller_box_never_makes_it_shorter(order):
    normal, offset, lower, upper = problem()
    room = [(np.float32(s) * lower, np.float32(s) * upper) for s in (0.5, 1, 2)]
    near = [
        hyperplane.distance(THREATS[order], normal, offset, *box)
        for box in room
    ]
    assert np.all(near[0] >= near[1]) and np.all(near[1] >= near[2])
    assert np.sum(np.isinf(near[0])) > np.sum(np.isinf(near[1])) == 0


@every_order
@pytest.mark.parametrize("share", [1.0, 1.5])
def test_out_of_reach_it_is_infinite(order, share):
    normal, offset, lower, upper = problem(share=share + 1e-5)
    distance = hyperplane.distance(THREATS[order], normal, offset, lower, upper)
    moving = np.any(normal * (upper - lower) != 0, axis=-1) & (offset > 0)
    np.testing.assert_array_equal(distance[moving], math.inf)


@every_order
@pytest.mark.parametrize(
    ("offset", "expected"), [(2.0, math.inf), (0.0, 0.0), (-2.0, 0.0)]
)
def test_a_constant_is_infinitely_far_from_zero_or_not_at_all(
    order, offset, expected
):
    flat = np.zeros((1, 1, 3), np.float32)
    distance = hyperplane.distance(THREATS[order], flat, [[offset]], -FAR, FAR)
    np.testing.assert_array_equal(distance, [[expected]])


@every_order
def test_it_never_exceeds_the_exact_distance_by_a_single_bit(order):
    # Exact fractions: what a move of that norm can reach stays below the
    # offset, on long rows with gains and rooms of all sizes.
    rng = np.random.default_rng(6)
    normal = np.exp(2 * rng.normal(size=(3, 1, 200))).astype(np.float32)
    room = np.exp(3 * rng.normal(size=(3, 1, 200))).astype(np.float32)
    share = np.array([[0.1], [0.7], [0.9999]])
    offset = (share * (normal * room).sum(axis=-1)).astype(np.float32)
    distance = hyperplane.distance(
        THREATS[order], normal, offset, -room, 0 * room
    )
    for k in range(3):
        gains = [Fraction(float(v)) for v in normal[k, 0]]
        rooms = [Fraction(float(v)) for v in room[k, 0]]
        length = Fraction(float(distance[k, 0]))
        goal = Fraction(float(offset[k, 0]))
        assert _reach(order, gains, rooms, length) < goal
        longer = length * (1 + Fraction(1, 10**6))
        assert _reach(order, gains, rooms, longer) > goal


def _reach(order, gains, rooms, length):
    """What a move of a norm reaches at most, in exact fractions."""
    if order == math.inf:
        pairs = zip(gains, rooms, strict=True)
        return sum(gain * min(length, room) for gain, room in pairs)
    if order == 1:
        total = Fraction(0)
        for gain, room in sorted(zip(gains, rooms, strict=True), reverse=True):
            total += gain * min(length, room)
            length -= min(length, room)
        return total
    # Features stop in the order of their room by gain; squares stay exact.
    pairs = sorted(zip(gains, rooms, strict=True), key=lambda p: p[1] / p[0])
    left, done = length**2, Fraction(0)
    squares = sum(gain**2 for gain in gains)
    for gain, room in pairs:
        if (room / gain) ** 2 * squares >= left:
            break
        left, done = left - room**2, done + gain * room
        squares -= gain**2
    # 120 digits of the one square root.
    scaled = left * squares * 10**240
    return done + Fraction(math.isqrt(int(scaled)), 10**120)


@pytest.mark.parametrize("order", [2.0, math.inf])
def test_stopped_early_it_is_shorter(order, monkeypatch):
    arrays = problem()
    exact = hyperplane.distance(THREATS[order], *arrays).numpy()
    growth, found = water_filling._growth, []
    for steps in range(5):
        monkeypatch.setattr(
            water_filling,
            "_growth",
            lambda *a, steps=steps: growth(*a, steps=steps),
        )
        found.append(hyperplane.distance(THREATS[order], *arrays).numpy())
        assert np.all(found[-1] <= exact)
    assert np.all(np.diff(found, axis=0) >= 0)
    assert np.mean(found[0] < 0.99 * exact) > 0.3
    np.testing.assert_allclose(found[-1], exact, rtol=1e-6)


@every_order
def test_its_gradient_is_that_of_finite_differences(order):
    arrays = [tf.constant(array) for array in problem(rows=8)]
    normal, offset, *box = arrays

    def total(normal, offset):
        found = hyperplane.distance(THREATS[order], normal, offset, *box)
        return tf.reduce_sum(found[offset > 0])

    with tf.GradientTape() as tape:
        tape.watch([normal, offset])
        value = total(normal, offset)
    slopes = tape.gradient(value, [normal, offset])
    assert np.all([np.all(np.isfinite(slope)) for slope in slopes])
    step = 1e-3
    for number, slope in enumerate(slopes):
        direction = slope / tf.norm(slope)
        ends = []
        for sign in (1, -1):
            moved = [normal, offset]
            moved[number] += sign * step * direction
            ends.append(float(total(*moved)))
        measured = (ends[0] - ends[1]) / (2 * step)
        assert measured == pytest.approx(float(tf.norm(slope)), rel=0.05)


@every_order
def test_gradients_are_finite_where_there_is_no_distance(order):
    normal = tf.constant([[[0.0, 0.0], [1.0, 2.0], [1.0, 2.0]]])
    offset = tf.constant([[-1.0, 9.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch([normal, offset])
        found = hyperplane.distance(
            THREATS[order], normal, offset, [-1.0], [1.0]
        )
        value = tf.reduce_sum(tf.nn.relu(1 - found))
    for slope in tape.gradient(value, [normal, offset]):
        assert np.all(np.isfinite(slope))


@every_order
def test_a_row_ignores_its_batch_mates(order):
    arrays = problem()
    traced = tf.function(lambda *a: hyperplane.distance(THREATS[order], *a))
    together = traced(*arrays)
    backward = hyperplane.distance(THREATS[order], *(a[::-1] for a in arrays))
    np.testing.assert_array_equal(backward[::-1], together)
    alone = hyperplane.distance(THREATS[order], *(a[7:8] for a in arrays))
    np.testing.assert_allclose(alone[0], together[7], rtol=1e-6)
