"""The images of the examples and benchmarks, and their training batches.

Usage:
    (x_train, y_train), (x_test, y_test) = datasets.load("digits")
    train = datasets.batches(
        x_train, y_train, 128, seed=0, step=model.optimizer.iterations
    )
"""

import pathlib

import numpy as np
import tensorflow as tf

from tfrobust.backend import keras
from tfrobust.commands import data

SHAPES = {
    "digits": (8, 8, 1),
    "mnist": (28, 28, 1),
    "fashion_mnist": (28, 28, 1),
    "cifar10": (32, 32, 3),
}
_KEYS = ("x_train", "y_train", "x_test", "y_test")


def load(name, data_dir=None):
    """Loads images and labels.

    Args:
        name: "digits" (part of scikit-learn, nothing to download), "mnist",
            "fashion_mnist" or "cifar10".
        data_dir: Folder that holds `<name>.npz` with the arrays of
            `keras.datasets.<name>`; if None, Keras downloads them.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images in [0, 1], shape
        `[n, height, width, channels]`, float32; labels, shape `[n]`, int64.

    Raises:
        FileNotFoundError: If `data_dir` holds no such file.
        ValueError: If the name is unknown, or the file is not what it should
            be.
    """
    if name not in SHAPES:
        raise ValueError(
            f"`name` must be one of {sorted(SHAPES)}. Received: name={name!r}"
        )
    if name == "digits":
        return _digits()
    if data_dir is None:
        train, test = getattr(keras.datasets, name).load_data()
        source = f"keras.datasets.{name}"
    else:
        source = pathlib.Path(data_dir) / f"{name}.npz"
        train, test = _read(source)
    return _split(name, source, *train), _split(name, source, *test)


def batches(x, y, batch_size, seed, step, augment=None):
    """Makes shuffled batches whose order follows from `seed` and `step`.

    The step is read whenever an iteration starts, so each epoch has its own
    order, and training that resumes at an epoch sees the same batches as
    training that was never interrupted.

    Args:
        x: Images, shape `[n, height, width, channels]`.
        y: Labels, shape `[n]`.
        batch_size: Number of examples in a batch; the last may have fewer.
        seed: Integer.
        step: Integer variable, commonly `model.optimizer.iterations`.
        augment: How to move the images, such as
            `tfr.instances.CropFlip(4, seed=seed)`, each epoch anew; None
            leaves them.

    Returns:
        A `tf.data.Dataset` of `(x, y)`.
    """
    count = len(x)
    with tf.device("CPU"):
        x, y = tf.constant(x), tf.constant(y)

    def epoch(_):
        # Read in Python: tf.data cannot reach a variable that is on a GPU.
        now = tf.numpy_function(
            lambda: np.asarray(step, np.int64), [], tf.int64
        )
        key = tf.stack([tf.constant(seed, tf.int64), tf.ensure_shape(now, [])])
        order = tf.random.experimental.stateless_shuffle(
            tf.range(count), key, alg="philox"
        )

        def batch(index):
            images = tf.gather(x, index)
            if augment is not None:
                images = augment.apply(images, index, key[1])
            return images, tf.gather(y, index)

        return (
            tf.data.Dataset.from_tensor_slices(order)
            .batch(batch_size)
            .map(batch, num_parallel_calls=tf.data.AUTOTUNE)
        )

    steps = -(-count // batch_size)
    return (
        tf.data.Dataset.range(1)
        .flat_map(epoch)
        .apply(tf.data.experimental.assert_cardinality(steps))
        .prefetch(tf.data.AUTOTUNE)
    )


def _digits():
    held = data.digits()
    train, test = (
        (held[f"x_{part}"], held[f"y_{part}"]) for part in ("train", "test")
    )
    return train, test


def _read(path):
    """Reads the four arrays of an npz file as two pairs."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: put there the arrays of "
            f"keras.datasets.{path.stem} ({', '.join(_KEYS)}) as an npz file, "
            "or drop --data_dir to download them."
        )
    with path.open("rb") as file:
        try:
            arrays = np.load(file, allow_pickle=False)
            x_train, y_train, x_test, y_test = (arrays[key] for key in _KEYS)
        # Damaged bytes raise almost anything, from KeyError to TokenError.
        except Exception as error:
            raise ValueError(
                f"{path} must be an npz file of {', '.join(_KEYS)}. Received: "
                f"a damaged or incomplete file ({error}). Replace it, or drop "
                "--data_dir to download the data."
            ) from error
    return (x_train, y_train), (x_test, y_test)


def _split(name, source, x, y):
    """Checks one split and brings it to float32 images and flat labels."""
    shape = SHAPES[name]
    stored = shape if shape[-1] > 1 else shape[:-1]
    images = x.dtype == np.uint8 and x.shape[1:] == stored and x.size
    labels = y.dtype.kind in "iu" and y.shape in (x.shape[:1], (len(y), 1))
    if not images or not labels or len(x) != len(y):
        raise ValueError(
            f"{source} must hold uint8 images of shape {stored} and an integer "
            f"label for each. Received: {x.dtype} images of shape {x.shape}, "
            f"{y.dtype} labels of shape {y.shape}."
        )
    x = x.reshape(-1, *shape).astype(np.float32) / np.float32(255)
    return x, y.reshape(-1).astype(np.int64)
