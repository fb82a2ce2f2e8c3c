import numpy as np
import pytest
import tensorflow as tf

from examples import datasets
from tfrobust.backend import keras
from tfrobust.instances import CropFlip


def write(path, name, **changes):
    """Writes a tiny data set as Keras lays it out."""
    shape = {"cifar10": (32, 32, 3)}.get(name, (28, 28))
    column = (1,) if name == "cifar10" else ()
    random = np.random.default_rng(0)
    arrays = {
        "x_train": random.integers(0, 256, (6, *shape), np.uint8),
        "y_train": random.integers(0, 10, (6, *column), np.uint8),
        "x_test": random.integers(0, 256, (4, *shape), np.uint8),
        "y_test": random.integers(0, 10, (4, *column), np.uint8),
    }
    arrays = {k: v for k, v in (arrays | changes).items() if v is not None}
    np.savez_compressed(path / f"{name}.npz", **arrays)
    return arrays


def numbered(count, shape=(8, 8, 1)):
    """Images that are all their own index, so that order can be seen."""
    labels = np.arange(count)
    images = np.broadcast_to(labels[:, None, None, None], (count, *shape))
    return images.astype(np.float32), labels


def labels_of(dataset):
    return np.concatenate([y.numpy() for _, y in dataset])


def images_of(dataset):
    return np.concatenate([x.numpy() for x, _ in dataset])


def test_digits_are_split_the_same_way_each_time_and_by_class():
    (x_train, y_train), (x_test, y_test) = datasets.load("digits")
    assert x_train.shape == (1437, 8, 8, 1)
    assert x_test.shape == (360, 8, 8, 1)
    assert x_train.dtype == np.float32
    assert (x_train.min(), x_train.max()) == (0, 1)
    assert np.bincount(y_train).min() >= 139
    assert np.bincount(y_test).min() >= 34
    (again, _), (_, y_again) = datasets.load("digits")
    np.testing.assert_array_equal(x_train, again)
    np.testing.assert_array_equal(y_test, y_again)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_a_file_is_read_as_images_in_the_unit_range_with_flat_labels(
    name, tmp_path
):
    stored = write(tmp_path, name)
    (x_train, y_train), (x_test, y_test) = datasets.load(name, tmp_path)
    assert x_train.shape == (6, *datasets.SHAPES[name])
    assert x_test.shape == (4, *datasets.SHAPES[name])
    assert x_train.dtype == np.float32
    np.testing.assert_array_equal(
        np.round(x_test * 255).astype(np.uint8).ravel(),
        stored["x_test"].ravel(),
    )
    assert x_train.max() <= 1
    np.testing.assert_array_equal(y_train, stored["y_train"].ravel())
    np.testing.assert_array_equal(y_test, stored["y_test"].ravel())


def test_without_a_folder_keras_is_asked_for_the_data(tmp_path, monkeypatch):
    stored = write(tmp_path, "mnist")
    pairs = [
        (stored[f"x_{part}"], stored[f"y_{part}"]) for part in ("train", "test")
    ]
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: pairs)
    (_, y_train), _ = datasets.load("mnist")
    np.testing.assert_array_equal(y_train, stored["y_train"])


def test_a_missing_file_says_what_to_put_where(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"mnist\.npz.*drop --data_dir"):
        datasets.load("mnist", tmp_path)


@pytest.mark.parametrize("keep", [0, 100, -20])
def test_a_file_cut_short_is_refused(keep, tmp_path):
    write(tmp_path, "mnist")
    path = tmp_path / "mnist.npz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"mnist\.npz.*damaged or incomplete"):
        datasets.load("mnist", tmp_path)


def test_a_file_with_a_changed_byte_is_refused(tmp_path):
    write(tmp_path, "mnist")
    path = tmp_path / "mnist.npz"
    data = bytearray(path.read_bytes())
    data[1000] ^= 255
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match="damaged or incomplete"):
        datasets.load("mnist", tmp_path)


def test_a_file_without_test_labels_is_refused(tmp_path):
    write(tmp_path, "mnist", y_test=None)
    with pytest.raises(ValueError, match="incomplete.*y_test"):
        datasets.load("mnist", tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"x_test": np.zeros((4, 28, 28), np.float32)},
        {"x_test": np.zeros((4, 27, 28), np.uint8)},
        {"x_test": np.zeros((0, 28, 28), np.uint8)},
        {"x_test": np.uint8(0)},
        {"y_test": np.zeros(3, np.uint8)},
        {"y_test": np.zeros((4, 10), np.uint8)},
        {"y_test": np.zeros(4, np.float32)},
    ],
)
def test_arrays_of_another_kind_are_refused(changes, tmp_path):
    write(tmp_path, "mnist", **changes)
    with pytest.raises(ValueError, match="must hold uint8 images .* Received"):
        datasets.load("mnist", tmp_path)


def test_an_unknown_data_set_is_refused_by_name():
    with pytest.raises(ValueError, match="must be one of .*digits.*'svhn'"):
        datasets.load("svhn")


@pytest.mark.parametrize("augment", [None, CropFlip()])
def test_an_epoch_has_every_example_once_and_a_known_number_of_steps(augment):
    x, y = numbered(10)
    train = datasets.batches(x, y, 4, 0, tf.Variable(0), augment)
    assert train.cardinality().numpy() == 3
    assert [len(labels) for _, labels in train] == [4, 4, 2]
    np.testing.assert_array_equal(np.sort(labels_of(train)), y)


def test_images_stay_with_their_labels():
    x, y = numbered(10)
    for images, labels in datasets.batches(x, y, 4, 0, tf.Variable(0)):
        np.testing.assert_array_equal(images[:, 0, 0, 0], labels)


@pytest.mark.parametrize("augment", [None, CropFlip()])
def test_the_same_seed_and_step_give_the_same_batches(augment):
    x = np.random.default_rng(0).random((50, 8, 8, 3), np.float32)
    y = np.arange(50)
    first = datasets.batches(x, y, 16, 3, tf.Variable(7), augment)
    other = datasets.batches(x, y, 16, 3, tf.Variable(7), augment)
    for again in (first, other):
        np.testing.assert_array_equal(labels_of(first), labels_of(again))
        np.testing.assert_array_equal(images_of(first), images_of(again))


def test_another_seed_or_step_gives_another_order():
    x, y = numbered(50)
    step = tf.Variable(0)
    train = datasets.batches(x, y, 16, 0, step)
    first = labels_of(train)
    step.assign(4)
    second = labels_of(train)
    third = labels_of(datasets.batches(x, y, 16, 1, step))
    orders = {tuple(first), tuple(second), tuple(third), tuple(y)}
    assert len(orders) == 4


def test_the_step_of_an_epoch_is_the_one_at_its_start():
    x, y = numbered(50)
    step = tf.Variable(0)
    train = datasets.batches(x, y, 1, 0, step)
    undisturbed = labels_of(train)
    disturbed = []
    for _, label in train:
        disturbed.append(int(label[0]))
        step.assign_add(1)
    np.testing.assert_array_equal(disturbed, undisturbed)


def test_augmentation_crops_a_padded_image_and_flips_half():
    image = np.arange(1, 49, dtype=np.float32).reshape(8, 6, 1)
    padded = np.pad(image, [(4, 4), (4, 4), (0, 0)])
    crops = {
        padded[i : i + 8, j : j + 6][:, ::side].tobytes(): (i, j, side)
        for i in range(9)
        for j in range(9)
        for side in (1, -1)
    }
    x, y = np.stack([image] * 600), np.arange(600)
    train = datasets.batches(x, y, 100, 0, tf.Variable(0), CropFlip())
    found = [crops[seen.tobytes()] for seen in images_of(train)]
    rows, columns, sides = zip(*found, strict=True)
    assert set(rows) == set(columns) == set(range(9))
    assert len(set(zip(rows, columns, strict=True))) > 70
    assert 0.4 < np.mean(np.equal(sides, -1)) < 0.6


def test_augmentation_of_an_example_does_not_depend_on_the_batch_size():
    x = np.random.default_rng(0).random((30, 8, 8, 1), np.float32)
    y = np.arange(30)
    large = datasets.batches(x, y, 30, 0, tf.Variable(0), CropFlip())
    small = datasets.batches(x, y, 7, 0, tf.Variable(0), CropFlip())
    np.testing.assert_array_equal(images_of(large), images_of(small))


def test_augmentation_changes_between_epochs_and_keeps_the_type():
    x = np.full((30, 8, 8, 1), 200, np.uint8)
    step = tf.Variable(0)
    train = datasets.batches(x, np.arange(30), 30, 0, step, CropFlip())
    first = images_of(train)[np.argsort(labels_of(train))]
    step.assign(1)
    second = images_of(train)[np.argsort(labels_of(train))]
    assert first.dtype == np.uint8
    assert (first != second).any()


def compiled(record):
    """A linear model that records the labels it is trained on."""

    class Recorder(keras.Model):
        def __init__(self):
            super().__init__()
            self.flatten = keras.layers.Flatten()
            self.dense = keras.layers.Dense(50, kernel_initializer="zeros")

        def call(self, x):
            return self.dense(self.flatten(x))

        def train_step(self, data):
            record.extend(data[1].numpy().tolist())
            return super().train_step(data)

    model = Recorder()
    model.compile(
        keras.optimizers.SGD(1e-4),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,
    )
    return model


def test_fit_sees_a_new_order_each_epoch_and_resumes_in_the_same_one():
    x, y = numbered(50)
    seen, resumed = [], []
    model = compiled(seen)
    train = datasets.batches(x, y, 16, 0, model.optimizer.iterations)
    history = model.fit(train, epochs=3, verbose=0)
    assert history.params["steps"] == 4
    epochs = np.reshape(seen, (3, 50))
    assert len({tuple(order) for order in epochs}) == 3
    np.testing.assert_array_equal(np.sort(epochs), [y] * 3)

    model = compiled(resumed)
    model.optimizer.iterations.assign(8)
    train = datasets.batches(x, y, 16, 0, model.optimizer.iterations)
    model.fit(train, initial_epoch=2, epochs=3, verbose=0)
    np.testing.assert_array_equal(resumed, epochs[2])
