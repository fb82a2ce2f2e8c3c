"""Data by the name of its file."""

import pathlib
from typing import Any

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]


def test_set(source: str, limit: int | None = None) -> Pair:
    """Inputs and labels to evaluate on.

    Args:
        source: An .npz file, or `"digits"`.
        limit: How many examples, the first ones; None for all.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it doesn't hold inputs and labels.
    """
    x, y = _pair(source, "_test")
    return x[:limit], y[:limit]


def train_set(source: str, seed: int) -> tuple[Pair, Pair]:
    """Inputs and labels to train on, and a tenth of them held out.

    Args:
        source: An .npz file, or `"digits"`.
        seed: Integer that decides who is held out.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it doesn't hold inputs and labels of two examples.
    """
    x, y = _pair(source, "_train")
    if len(x) < 2:
        raise ValueError(f"--data={source} must hold at least two examples.")
    order = np.random.default_rng(seed).permutation(len(x))
    held, rest = np.split(order, [max(1, len(x) // 10)])
    return (x[rest], y[rest]), (x[held], y[held])


def digits() -> dict[str, np.ndarray]:
    """Scikit-learn's handwritten digits, 8x8 pixels in [0, 1].

    Raises:
        ImportError: If scikit-learn is missing.
    """
    try:
        from sklearn import datasets, model_selection
    except ImportError as error:
        raise ImportError(
            "The digits come with scikit-learn, which isn't installed: "
            "pip install scikit-learn."
        ) from error
    x, y = datasets.load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    parts = model_selection.train_test_split(
        x, y.astype(np.int64), test_size=360, stratify=y, random_state=0
    )
    names = ("x_train", "x_test", "y_train", "y_test")
    return dict(zip(names, parts, strict=True))


def _pair(source, part):
    """The arrays of a part, or those that aren't split, once checked."""
    arrays = digits() if source == "digits" else _read(source)
    for end in (part, ""):
        if {f"x{end}", f"y{end}"} <= arrays.keys():
            return _checked(source, arrays[f"x{end}"], arrays[f"y{end}"])
    raise ValueError(
        f"--data={source} must hold the arrays x and y, or x{part} and "
        f"y{part}. Received: {', '.join(arrays) or 'none'}. Write it by "
        "np.savez(path, x=x, y=y)."
    )


def _read(source) -> dict[str, Any]:
    path = pathlib.Path(source)
    if not path.is_file():
        raise FileNotFoundError(
            f"--data must be an .npz file, or digits. Received: {source}, "
            "where there is no file."
        )
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays}
    # Damaged bytes raise almost anything; a single array has no names.
    except Exception as error:
        raise ValueError(
            f"--data={source} must be an .npz file of numbers. Received: "
            f"{type(error).__name__}: {error}. Write it by "
            "np.savez(path, x=x, y=y)."
        ) from error


def _checked(source, x, y):
    if not len(x) or len(x) != len(y):
        raise ValueError(
            f"--data={source} must hold a label for each input, at least one. "
            f"Received: {len(x)} inputs and {len(y)} labels."
        )
    if x.dtype == np.uint8:
        x = x.astype(np.float32) / np.float32(255)
        if x.ndim == 3:  # Grey images are stored without their channel.
            x = x[..., np.newaxis]
    return x, y[:, 0] if y.shape == (len(y), 1) else y
