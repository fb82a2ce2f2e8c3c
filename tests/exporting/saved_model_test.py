import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras

X = np.random.default_rng(0).random((7, 4, 4, 1), np.float32)


def network():
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Conv2D(3, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )


def served(path, x, name="image"):
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    answer = signature(**{name: tf.constant(x)})
    return {key: value.numpy() for key, value in answer.items()}


def logits(model, x):
    return np.asarray(model(x, training=False))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model and its exported folder, which nobody changes."""
    keras.utils.set_random_seed(3)
    model = network()
    return model, tfr.export(model, tmp_path_factory.mktemp("served"))


def test_versions_count_up_from_the_highest_that_is_there(tmp_path):
    model = network()
    assert tfr.export(model, tmp_path / "new") == tmp_path / "new" / "1"
    for name in ("2", "10", "notes", ".3-x", "²"):
        (tmp_path / name).mkdir()
    assert tfr.export(model, tmp_path) == tmp_path / "11"


def test_a_version_may_be_named_once_zero_included(tmp_path):
    model = network()
    path = tfr.export(model, tmp_path, version=0)
    assert path == tmp_path / "0"
    before = (path / "saved_model.pb").read_bytes()
    with pytest.raises(FileExistsError, match="0 exists and is kept"):
        tfr.export(model, tmp_path, version=0)
    assert (path / "saved_model.pb").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == [
        "0",
        "batching.config",
        "models.config",
    ]


@pytest.mark.parametrize("version", [-1, 1.5, "v2", "", "²"])
def test_a_version_that_would_not_be_served_is_refused(tmp_path, version):
    with pytest.raises(ValueError, match="`version` must be a whole number"):
        tfr.export(network(), tmp_path, version=version)
    assert list(tmp_path.iterdir()) == []


def test_the_signature_has_the_documented_names_shapes_and_types(exported):
    loaded = tf.saved_model.load(str(exported[1]))
    assert list(loaded.signatures) == ["serving_default"]
    signature = loaded.signatures["serving_default"]
    _, inputs = signature.structured_input_signature
    assert inputs == {
        "image": tf.TensorSpec((None, 4, 4, 1), tf.float32, name="image")
    }
    outputs = {
        name: (spec.shape.as_list(), spec.dtype)
        for name, spec in signature.structured_outputs.items()
    }
    assert outputs == {
        "logits": ([None, 3], tf.float32),
        "probabilities": ([None, 3], tf.float32),
        "class": ([None], tf.int64),
    }


@pytest.mark.parametrize("count", [1, 7])
def test_the_copy_answers_like_the_model_in_any_batch_size(exported, count):
    model, path = exported
    answer, expected = served(path, X[:count]), logits(model, X[:count])
    np.testing.assert_allclose(answer["logits"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(answer["class"], expected.argmax(axis=1))
    np.testing.assert_allclose(
        answer["probabilities"],
        np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True),
        rtol=1e-5,
    )


def test_the_input_may_have_another_name_but_not_any(tmp_path):
    path = tfr.export(network(), tmp_path, input_name="pixels")
    assert served(path, X, "pixels")["class"].shape == (7,)
    with pytest.raises(ValueError, match="`input_name` .*'my image'"):
        tfr.export(network(), tmp_path, input_name="my image")


# Refuses tfrobust and both Kerases, then answers like a server. TensorFlow
# itself looks for Keras while it is imported, so that comes first.
STRANGER = """
import importlib.abc, sys
import numpy as np, tensorflow as tf
def banned(name):
    return name.split(".")[0] in ("tfrobust", "keras", "tf_keras")
class Wall(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if banned(name):
            raise ImportError(name)
sys.meta_path.insert(0, Wall())
for name in filter(banned, list(sys.modules)):
    del sys.modules[name]
path, x, y = sys.argv[1:]
model = tf.saved_model.load(path).signatures["serving_default"]
np.save(y, model(image=tf.constant(np.load(x)))["logits"])
from tensorflow.python.tools import saved_model_cli
sys.argv = ["saved_model_cli", "run", "--dir", path, "--tag_set", "serve",
    "--signature_def", "serving_default", "--inputs", f"image={x}",
    "--outdir", str(y) + ".cli"]
saved_model_cli.main()
"""


def test_the_copy_runs_without_keras_and_tfrobust_and_in_the_command_line_tool(
    exported, tmp_path
):
    model, path = exported
    x, y = tmp_path / "x.npy", tmp_path / "y.npy"
    np.save(x, X)
    command = [sys.executable, "-I", "-c", STRANGER, path, x, y]
    ran = subprocess.run(command, cwd="/", capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    expected = logits(model, X)
    by_tool = np.load(pathlib.Path(f"{y}.cli") / "logits.npy")
    np.testing.assert_allclose(np.load(y), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_tool, expected, rtol=1e-5, atol=1e-6)


def test_averaged_weights_are_what_is_exported(tmp_path):
    model = tfr.RobustModel(network())
    optimizer = keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
    model.compile(optimizer)
    model.train_on_batch(X, np.arange(7) % 3)
    model.train_on_batch(X, np.arange(7) % 3)
    raw = logits(model.network, X)
    with model.averaged():
        averaged = logits(model.network, X)
    assert np.abs(raw - averaged).max() > 0.01
    answer = served(tfr.export(model, tmp_path), X)["logits"]
    np.testing.assert_allclose(answer, averaged, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(logits(model.network, X), raw)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(3)

    def call(self, x, training=False):
        return self.dense(self.flatten(x))


def test_a_subclassed_model_is_exported_once_it_was_called(tmp_path):
    model = Subclassed()
    with pytest.raises(ValueError, match="must be built.*Call it once"):
        tfr.export(model, tmp_path)
    assert list(tmp_path.iterdir()) == []
    model(X[:2])
    answer = served(tfr.export(model, tmp_path), X)["logits"]
    np.testing.assert_allclose(answer, logits(model, X), rtol=1e-5, atol=1e-6)


def test_a_model_without_a_fixed_image_size_is_exported(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((None, None, 1)),
            keras.layers.Conv2D(3, 3),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    answer = served(tfr.export(model, tmp_path), X)["logits"]
    np.testing.assert_allclose(answer, logits(model, X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wrap", [lambda m: m, tfr.RobustModel])
def test_an_unbuilt_model_is_refused(tmp_path, wrap):
    model = wrap(keras.Sequential([keras.layers.Dense(3)]))
    with pytest.raises(ValueError, match="must be built before export"):
        tfr.export(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_model_of_logits_is_refused(tmp_path):
    with pytest.raises(TypeError, match="must be a Keras model"):
        tfr.export(tf.nn.relu, tmp_path)
    model = network()
    model.add(keras.layers.Softmax())
    with pytest.raises(ValueError, match="must return logits"):
        tfr.export(model, tmp_path)
    one, two = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([one, two], keras.layers.Add()([one, two]))
    with pytest.raises(ValueError, match="one input"):
        tfr.export(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


class Noise(keras.layers.Layer):
    def call(self, x):
        return x + tf.random.normal(tf.shape(x))


def test_a_model_that_answers_at_random_is_not_kept(tmp_path):
    model = keras.Sequential([keras.Input((3,)), Noise()])
    with pytest.raises(ValueError, match="differs .* random layers"):
        tfr.export(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


class Calling(keras.layers.Layer):
    def call(self, x):
        return tf.ensure_shape(
            tf.numpy_function(np.negative, [x], x.dtype), x.shape
        )


def test_a_model_that_calls_python_is_refused_which_no_server_could(tmp_path):
    model = keras.Sequential([keras.Input((3,)), Calling()])
    with pytest.raises(ValueError, match="without Python.*serving_default"):
        tfr.export(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_of_two_at_once_one_wins_and_the_other_is_told(tmp_path, monkeypatch):
    save = tf.saved_model.save

    def beaten(*arguments):
        save(*arguments)
        monkeypatch.setattr(tf.saved_model, "save", save)
        tfr.export(network(), tmp_path)

    monkeypatch.setattr(tf.saved_model, "save", beaten)
    with pytest.raises(FileExistsError, match="1 was written by somebody else"):
        tfr.export(network(), tmp_path)
    names = sorted(os.listdir(tmp_path))
    assert names == ["1", "batching.config", "models.config"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_an_interrupted_export_leaves_nothing(tmp_path, monkeypatch, failure):
    save = tf.saved_model.save

    def interrupted(*arguments):
        save(*arguments)
        raise failure

    monkeypatch.setattr(tf.saved_model, "save", interrupted)
    with pytest.raises(failure):
        tfr.export(network(), tmp_path)
    assert list(tmp_path.iterdir()) == []
