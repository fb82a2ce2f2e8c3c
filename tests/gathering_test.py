import numpy as np
import pytest
import tensorflow as tf

from tfrobust.attacks import FGSM, PGD, Ensemble, Restart
from tfrobust.gathering import gathered
from tfrobust.halves import LEAST
from tfrobust.threats import L2, Linf

pytestmark = pytest.mark.keras_free

X = np.arange(12, dtype=np.float32).reshape(4, 3) / 12
INDEX = [3, 1]
RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(3, 2)).astype(np.float32)


def curved(x, training=False):
    return tf.sin(9 * x) @ KERNEL


def test_tensors_are_gathered_in_every_nest_and_nothing_stays_nothing():
    values = {"a": X, "b": (np.arange(4), None)}
    found = gathered(INDEX, X, values)
    np.testing.assert_array_equal(found["a"], X[INDEX])
    np.testing.assert_array_equal(found["b"][0], INDEX)
    assert found["b"][1] is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, 0.1),
        (np.float32([0.1, 0.2, 0.3, 0.4]), np.float32([0.4, 0.2])),
        # For every example, it becomes one for each.
        (np.float32([[0.1, 0.2, 0.3]]), np.float32([[0.1, 0.2, 0.3]] * 2)),
        (X, X[INDEX]),
    ],
    ids=["all", "example", "feature", "both"],
)
def test_what_is_configured_for_each_example_goes_with_it(value, expected):
    found = gathered(INDEX, X, Linf(value))
    np.testing.assert_array_equal(found.epsilon, expected)


def test_a_mask_of_one_axis_is_that_of_features():
    square = X[:3]
    found = gathered([2], square, Linf(0.1, mask=[1, 0, 1]))
    np.testing.assert_array_equal(found.mask, [[1, 0, 1]])


def test_parts_of_parts_are_gathered_and_what_is_not_declared_stays():
    threat = L2(tf.constant([0.1, 0.2, 0.3, 0.4]))
    inner = PGD(threat, step_size=np.float32([1, 2, 3, 4]))
    attack = Restart(Ensemble({"a": inner}), restarts=2)
    attack.weights = tf.range(4.0)
    found = gathered(INDEX, X, attack)
    part = found.attack.attacks["a"]
    np.testing.assert_allclose(part.threat.epsilon, [0.4, 0.2])
    np.testing.assert_array_equal(part.step_size, [4, 2])
    np.testing.assert_array_equal(found.weights, [0, 1, 2, 3])
    # The attack itself is as it was.
    assert attack.attack.attacks["a"] is inner and len(inner.step_size) == 4


@pytest.mark.parametrize("early_stop", [False, True])
@pytest.mark.parametrize("size", [None, 2 * LEAST])
def test_each_example_has_its_own_step_in_halves_and_in_active_sets(
    early_stop, size
):
    x = RNG.uniform(0.1, 0.9, (2 * LEAST, 3)).astype(np.float32)
    y = RNG.integers(0, 2, len(x))
    sizes = RNG.choice([0.05, 0.3, 1.0], len(x)).astype(np.float32)
    options = {"steps": 3, "early_stop": early_stop}

    @tf.function(
        input_signature=[
            tf.TensorSpec([size, 3]),
            tf.TensorSpec([size], tf.int64),
            tf.TensorSpec([size]),
        ],
        autograph=False,
    )
    def perturb(x, y, sizes):
        attack = Ensemble([PGD(Linf(0.1), step_size=sizes, **options)])
        return attack.perturb(curved, x, y)

    found = perturb(x, y, sizes)
    for each in np.unique(sizes):
        attack = Ensemble([PGD(Linf(0.1), step_size=float(each), **options)])
        some = sizes == each
        expected = attack.perturb(curved, x[some], y[some])
        np.testing.assert_allclose(found.numpy()[some], expected, atol=1e-6)


def test_one_step_of_fgsm_is_as_long_as_each_example_says():
    x, sizes = np.full((3, 3), 0.5, np.float32), np.float32([0.5, 1.0, 0.25])
    found = FGSM(Linf(0.2), step_size=sizes).perturb(curved, x, [0, 0, 0])
    moves = np.max(np.abs(found - x), axis=1)
    np.testing.assert_allclose(moves, 0.2 * sizes, atol=1e-6)


def test_a_step_size_that_is_none_is_refused():
    for size in (-0.1, 0, [0.1, 0.0], [0.1, np.nan], "0.1", [[0.1]], None):
        with pytest.raises(ValueError, match="`step_size` must"):
            PGD(Linf(0.1), step_size=size)


def test_step_sizes_survive_a_configuration():
    attack = PGD(Linf(0.1), step_size=tf.constant([0.1, 0.2]))
    again = PGD.from_config(attack.get_config())
    np.testing.assert_array_equal(again.step_size, np.float32([0.1, 0.2]))
