"""What `--data` reads."""

import numpy as np
import pytest

from tfrobust.commands import data

pytestmark = pytest.mark.keras_free

X = np.arange(40, dtype=np.float32).reshape(20, 2) / 40
Y = np.arange(20) % 3


def saved(folder, **arrays):
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return str(path)


def test_a_file_of_one_set_serves_for_both(tmp_path):
    path = saved(tmp_path, x=X, y=Y)
    x, y = data.test_set(path, limit=5)
    np.testing.assert_array_equal(x, X[:5])
    np.testing.assert_array_equal(y, Y[:5])
    (x, y), (x_held, y_held) = data.train_set(path, seed=0)
    assert len(x) == 18 and len(x_held) == 2
    together = np.concatenate([x, x_held])
    order = np.argsort(together[:, 0])
    np.testing.assert_array_equal(together[order], X)
    np.testing.assert_array_equal(np.concatenate([y, y_held])[order], Y)
    (again, _), _ = data.train_set(path, seed=0)
    np.testing.assert_array_equal(again, x)


def test_of_two_sets_each_serves_for_its_own(tmp_path):
    parts = {"x_train": X, "y_train": Y, "x_test": X[:4], "y_test": Y[:4]}
    path = saved(tmp_path, **parts)
    assert len(data.test_set(path)[0]) == 4
    (x, _), (held, _) = data.train_set(path, seed=1)
    assert len(x) + len(held) == 20


def test_bytes_become_numbers_and_columns_labels(tmp_path):
    images = np.full((3, 4, 4), 255, np.uint8)
    path = saved(tmp_path, x=images, y=np.array([[0], [1], [2]]))
    x, y = data.test_set(path)
    assert x.shape == (3, 4, 4, 1) and x.dtype == np.float32
    assert x.max() == 1.0
    assert y.tolist() == [0, 1, 2]


def test_digits_need_no_file():
    x, y = data.test_set("digits")
    assert x.shape == (360, 8, 8, 1) and x.max() == 1.0
    assert y.shape == (360,)


@pytest.mark.parametrize(
    "arrays, sentence",
    [
        ({"a": X}, "must hold the arrays x and y, or x_test and y_test"),
        ({"x": X, "y": Y[:3]}, "20 inputs and 3 labels"),
        ({"x": X[:0], "y": Y[:0]}, "at least one"),
        ({"x": np.array([None]), "y": Y}, "of numbers. Received: ValueError"),
    ],
)
def test_other_files_are_refused(tmp_path, arrays, sentence):
    path = saved(tmp_path, **arrays)
    with pytest.raises(ValueError, match=sentence):
        data.test_set(path)


def test_what_is_no_file_of_arrays_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="where there is no file"):
        data.test_set(str(tmp_path / "none.npz"))
    np.save(tmp_path / "single.npy", X)
    with pytest.raises(ValueError, match=r"np.savez\(path, x=x, y=y\)"):
        data.test_set(str(tmp_path / "single.npy"))
    (tmp_path / "text.npz").write_text("x, y")
    with pytest.raises(ValueError, match="must be an .npz file"):
        data.test_set(str(tmp_path / "text.npz"))
    one = saved(tmp_path, x=X[:1], y=Y[:1])
    with pytest.raises(ValueError, match="at least two examples"):
        data.train_set(one, seed=0)
