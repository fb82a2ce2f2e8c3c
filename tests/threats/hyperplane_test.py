import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize

from tfrobust.threats import L1, L2, Linf, hyperplane

pytestmark = pytest.mark.keras_free

THREATS = {1.0: L1(1.0), 2.0: L2(1.0), np.inf: Linf(0.5)}
RNG = np.random.default_rng(4)

every_order = pytest.mark.parametrize("order", list(THREATS))


def problem(rows=60, features=7, fraction=None):
    """Hyperplanes that the box reaches, at a fraction of what it reaches."""
    normal = RNG.normal(size=(rows, features))
    lower = -RNG.uniform(0, 1, (rows, features))
    upper = RNG.uniform(0, 1, (rows, features))
    # Some features are stuck at a face, some have no influence.
    lower[:20] *= RNG.integers(0, 2, (20, features))
    upper[:20] *= RNG.integers(0, 2, (20, features))
    normal[10:30] *= RNG.integers(0, 2, (20, features))
    sign = RNG.choice([-1.0, 1.0], (rows, 1))
    reach = np.maximum(sign * normal * lower, sign * normal * upper).sum(1)
    if fraction is None:
        fraction = RNG.uniform(0.05, 0.95, rows)
    offset = sign * (fraction * reach)[:, np.newaxis]
    arrays = (normal, offset, lower, upper)
    return tuple(array.astype(np.float32) for array in arrays)


def solved(order, normal, offset, lower, upper):
    """The least norm of a move to the hyperplane, by SciPy, in float64."""
    features = len(normal)
    if order == 2:
        # Of the equation's multiplier, what is reached is continuous.
        def missing(t):
            return normal @ np.clip(t * normal, lower, upper) - offset[0]

        move = np.clip(
            optimize.brentq(missing, -1e9, 1e9, xtol=1e-12) * normal,
            lower,
            upper,
        )
        return np.linalg.norm(move)
    # Linear programmes: move = up - down, and one bound on all if linf.
    bounds = [(0, high) for high in upper] + [(0, -low) for low in lower]
    equation = np.concatenate([normal, -normal])
    if order == 1:
        cost, inequalities, limits = np.ones(2 * features), None, None
    else:
        bounds.append((0, None))
        equation = np.append(equation, 0.0)
        cost = np.append(np.zeros(2 * features), 1.0)
        identity = np.eye(2 * features)
        inequalities = np.hstack([identity, -np.ones((2 * features, 1))])
        limits = np.zeros(2 * features)
    return optimize.linprog(
        cost, inequalities, limits, equation[np.newaxis], offset, bounds
    ).fun


def check_reached(arrays, move):
    normal, offset, lower, upper = (a.astype(np.float64) for a in arrays)
    assert np.all((move >= lower) & (move <= upper))
    reached = normal * move
    error = np.abs(reached.sum(axis=1) - offset[:, 0])
    assert np.all(error <= 1e-6 * np.abs(reached).sum(axis=1))


@every_order
def test_the_move_reaches_the_hyperplane_and_none_is_shorter(order):
    arrays = problem()
    move = hyperplane.shortest_move(THREATS[order], *arrays).numpy()
    check_reached(arrays, move)
    exact = [array.astype(np.float64) for array in arrays]
    least = [solved(order, *row) for row in zip(*exact, strict=True)]
    lengths = np.linalg.norm(move.astype(np.float64), order, axis=1)
    np.testing.assert_allclose(lengths, least, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (1, [0.0, -0.25, 0.5]),
        (2, [0.2, -0.25, 0.4]),
        (np.inf, [1 / 3, -0.25, 1 / 3]),
    ],
)
def test_a_move_done_by_hand(order, expected):
    # The second feature stops at the box and has made 1 of 2. The rest is
    # made by the third alone, in proportion to the gains, or evenly.
    normal = np.array([[1.0, -4.0, 2.0]], np.float32)
    lower = np.array([[-1.0, -0.25, -1.0]], np.float32)
    upper = np.array([[1.0, 0.1, 1.0]], np.float32)
    offset = np.array([[2.0]], np.float32)
    move = hyperplane.shortest_move(
        THREATS[order], normal, offset, lower, upper
    )
    np.testing.assert_allclose(move[0], expected, rtol=1e-6)


@every_order
def test_without_a_box_it_is_the_dual_norm(order):
    normal = RNG.normal(size=(5, 4)).astype(np.float32)
    offset = RNG.normal(size=(5, 1)).astype(np.float32)
    far = np.full((5, 4), 1e6, np.float32)
    move = hyperplane.shortest_move(THREATS[order], normal, offset, -far, far)
    dual = {1.0: np.inf, 2.0: 2, np.inf: 1}[order]
    expected = np.abs(offset[:, 0]) / np.linalg.norm(normal, dual, axis=1)
    lengths = np.linalg.norm(move, order, axis=1)
    np.testing.assert_allclose(lengths, expected, rtol=1e-5)


@every_order
def test_out_of_reach_it_ends_in_the_nearest_corner(order):
    normal, offset, lower, upper = problem(fraction=1.5)
    move = hyperplane.shortest_move(
        THREATS[order], normal, offset, lower, upper
    )
    direction = np.sign(offset) * normal
    corner = np.where(direction > 0, upper, np.where(direction < 0, lower, 0))
    np.testing.assert_array_equal(move, corner)


@every_order
@pytest.mark.parametrize(("normal", "offset"), [(0, 0), (0, 2), (1, 0)])
def test_without_a_direction_or_a_distance_nothing_moves(order, normal, offset):
    normal = np.full((1, 3), normal, np.float32)
    offset = np.full((1, 1), offset, np.float32)
    box = -np.ones((1, 3), np.float32), np.ones((1, 3), np.float32)
    move = hyperplane.shortest_move(THREATS[order], normal, offset, *box)
    np.testing.assert_array_equal(move, np.zeros((1, 3)))


@every_order
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_the_scale_of_the_gradient_does_not_matter(order, size):
    normal, offset, *box = problem()
    size = np.float32(size)
    scaled = hyperplane.shortest_move(
        THREATS[order], size * normal, size * offset, *box
    )
    move = hyperplane.shortest_move(THREATS[order], normal, offset, *box)
    np.testing.assert_allclose(scaled, move, atol=2e-5)


@every_order
@pytest.mark.parametrize("fraction", [1e-4, 0.5, 0.999])
def test_large_rows_with_gains_and_rooms_of_all_sizes_are_reached(
    order, fraction
):
    normal = np.exp(RNG.normal(size=(4, 3072)) * 4)
    upper = np.minimum(np.exp(RNG.normal(size=(4, 3072)) * 4), 1.0)
    offset = fraction * (normal * upper).sum(axis=1, keepdims=True)
    arrays = normal, offset, 0 * upper, upper
    arrays = tuple(array.astype(np.float32) for array in arrays)
    move = hyperplane.shortest_move(THREATS[order], *arrays).numpy()
    check_reached(arrays, move)


@every_order
def test_a_row_ignores_its_batch_mates(order):
    arrays = problem()
    traced = tf.function(
        lambda *a: hyperplane.shortest_move(THREATS[order], *a)
    )
    together = traced(*map(tf.constant, arrays)).numpy()
    backward = hyperplane.shortest_move(
        THREATS[order], *(a[::-1] for a in arrays)
    )
    np.testing.assert_array_equal(backward[::-1], together)
    alone = hyperplane.shortest_move(THREATS[order], *(a[7:8] for a in arrays))
    np.testing.assert_allclose(alone[0], together[7], atol=1e-6)
