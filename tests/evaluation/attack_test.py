import numpy as np
import pytest

import tfrobust as tfr

pytestmark = pytest.mark.keras_free


def test_arrays_go_in_and_come_out(model, data):
    x, y = data
    found = tfr.attack(model, x, y, epsilon=0.1)
    assert isinstance(found.x, np.ndarray) and found.x.shape == x.shape
    # 10 are less than epsilon from one half, and 4 have the wrong label.
    assert found.success.tolist() == [True] * 10 + [False] * 26 + [True] * 4
    assert found.success_rate == 14 / 40
    assert np.max(np.abs(found.x - x)) <= 0.1 + 1e-6
    np.testing.assert_array_equal(found.x[-4:], x[-4:])
    assert found.distance[-4:].tolist() == [0.0] * 4
    assert np.all(np.isinf(found.distance[10:36]))
    predicted = np.argmax(model(found.x), axis=1)
    assert np.all((predicted != y) == found.success)


def test_the_prediction_is_the_label_where_there_is_none(model, data):
    x, _ = data
    found = tfr.attack(model, x, epsilon=0.1)
    assert found.y.tolist() == np.argmax(model(x), axis=1).tolist()
    assert found.success_rate == 10 / 40


def test_several_epsilons_run_from_small_to_large(model, data):
    x, y = data
    found = tfr.attack(model, x, y, epsilon=[0.21, 0.005, 0.1])
    assert found.x.shape == (3, *x.shape)
    np.testing.assert_allclose(found.epsilon, [0.005, 0.1, 0.21])
    np.testing.assert_allclose(found.success_rate, [0.1, 14 / 40, 1.0])
    # What withstands is infinitely far: half of them do at 0.1.
    assert np.isinf(found.median_distance[:2]).all()
    assert 0.1 < found.median_distance[2] <= 0.21 + 1e-6
    kept = found.success[1]
    np.testing.assert_array_equal(found.x[2][kept], found.x[1][kept])
    assert "0.1         35.0%   inf" in str(found)


def test_the_attack_decides_norm_and_range(model, data):
    x, y = data
    pgd = tfr.attacks.PGD(tfr.threats.L2(0.3), steps=4)
    found = tfr.attack(model, x, y, attack=pgd)
    assert found.norm == "l2" and found.epsilon == 0.3
    assert np.max(found.distance[found.success]) <= 0.3 + 1e-5
    several = tfr.attack(model, x, y, [0.1, 0.3], attack=pgd)
    assert several.success_rate[1] == found.success_rate


class Far(tfr.Attack):
    """Answers with points that lie outside of its threat."""

    def __init__(self, threat):
        self.threat = threat

    def _perturb(self, model, x, y, start, step):
        return 1 - x


def test_a_point_outside_of_the_threat_is_no_answer(model, data):
    x, y = data
    found = tfr.attack(model, x[:36], y[:36], attack=Far(PGD.threat))
    assert not found.success.any() and np.isinf(found.distance).all()
    np.testing.assert_array_equal(found.x, x[:36])


def test_nothing_depends_on_the_batch_size(model, data):
    one, other = (
        tfr.attack(model, *data, epsilon=0.1, batch_size=size)
        for size in (7, 128)
    )
    np.testing.assert_array_equal(one.success, other.success)


def test_a_set_is_saved_once(model, data, tmp_path):
    found = tfr.attack(model, *data, epsilon=0.1)
    path = tmp_path / "found.npz"
    found.save(path)
    with np.load(path) as read:
        np.testing.assert_array_equal(read["x"], found.x)
        np.testing.assert_array_equal(read["y"], data[1])
        assert str(read["norm"]) == "linf" and float(read["epsilon"]) > 0.09
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="kept as it is. Choose another"):
        found.save(path)
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="must end in .npz"):
        found.save(tmp_path / "found")


PGD = tfr.attacks.PGD(tfr.threats.Linf(0.1))


@pytest.mark.parametrize(
    "options, error, sentence",
    [
        ({}, TypeError, "Pass `epsilon`"),
        ({"attack": PGD, "norm": "l2"}, TypeError, "knows its norm"),
        ({"attack": "pgd"}, TypeError, "`attack` must be an Attack"),
        ({"epsilon": "0.1"}, ValueError, "a number or a list of numbers"),
        ({"epsilon": []}, ValueError, "a number or a list of numbers"),
        ({"epsilon": -1}, ValueError, "finite and not negative"),
        ({"epsilon": 8}, ValueError, "Did you mean 8/255?"),
        ({"epsilon": 0.1, "norm": "inf"}, ValueError, '"linf", "l2" or "l1"'),
        ({"epsilon": 0.1, "batch_size": 0}, ValueError, "`batch_size`"),
    ],
)
def test_what_cannot_be_meant_is_refused(model, data, options, error, sentence):
    with pytest.raises(error, match=sentence):
        tfr.attack(model, *data, **options)


def test_inputs_are_checked(model, data):
    x, y = data
    for bad, sentence in (
        ((x * 255, y), "valid range"),
        ((x[:0], y[:0]), "at least one example"),
        ((x, y[:-1]), "as many labels"),
        ((x, y + 1), "class labels from 0 to 1"),
    ):
        with pytest.raises(ValueError, match=sentence):
            tfr.attack(model, *bad, epsilon=0.1)
