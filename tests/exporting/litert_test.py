import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust import files
from tfrobust.backend import keras
from tfrobust.evaluation.litert import LiteRT
from tfrobust.exporting import litert

ATTACK = tfr.attacks.PGD(tfr.threats.Linf(0.02), steps=5)
IMAGES = np.random.default_rng(2).random((9, 6, 6, 1), np.float32)

# Answers with ai-edge-litert alone, one example at a time.
STRANGER = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
path, x, y = sys.argv[1:]
answer = Interpreter(path).get_signature_runner("serving_default")
logits = [answer(image=one[None])["logits"][0] for one in np.load(x)]
np.save(y, logits)
assert not {"tensorflow", "tfrobust", "keras"} & set(sys.modules)
"""


@pytest.fixture(scope="module")
def written(shipped, data, tmp_path_factory):
    """A file of each format, of one network."""
    folder = tmp_path_factory.mktemp("litert")
    return {
        format: tfr.export_litert(
            shipped[0],
            folder / f"{format}.tflite",
            format,
            calibration=data[0],
            data=data,
            attack=ATTACK,
        )
        for format in ("int8_sparse", "int8", "float16")
    }


@pytest.mark.parametrize(
    ("format", "tolerance"),
    [("int8_sparse", 0.02), ("int8", 0.02), ("float16", 1e-3)],
)
def test_the_file_answers_without_tensorflow(
    written, shipped, data, tmp_path, format, tolerance
):
    pytest.importorskip(
        "ai_edge_litert", reason='needs pip install "tfrobust[litert]"'
    )
    x, y = tmp_path / "x.npy", tmp_path / "y.npy"
    np.save(x, data[0])
    command = [sys.executable, "-I", "-c", STRANGER, written[format], x, y]
    ran = subprocess.run(command, cwd="/", capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    expected = np.asarray(shipped[0](data[0], training=False))
    gap = np.abs(np.load(y) - expected).max()
    assert 0 < gap < tolerance * np.abs(expected).max()


def test_sparsity_makes_the_file_smaller_and_changes_no_answer(written, data):
    sizes = {name: path.stat().st_size for name, path in written.items()}
    assert sizes["int8_sparse"] < sizes["int8"] < sizes["float16"]
    np.testing.assert_array_equal(
        LiteRT(written["int8_sparse"])(data[0]),
        LiteRT(written["int8"])(data[0]),
    )


def test_the_card_tells_how_the_file_stood_the_attack(written, shipped, data):
    path = written["int8"]
    card = json.loads(path.with_name("int8.tflite.json").read_text())
    assert card["format"] == "LiteRT int8"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert card["sha256"] == {"int8.tflite": digest}
    x, y = data
    points = ATTACK.perturb(shipped[0], x, y)
    right = [
        np.argmax(LiteRT(path)(inputs), axis=1) == y for inputs in (x, points)
    ]
    found = card["artefact"]
    assert found["examples"] == len(x)
    assert found["clean_accuracy"] == right[0].mean()
    assert found["attack_accuracy"] == (right[0] & right[1]).mean() < 1


def test_dense_layers_of_sequences_are_convolved_too(tmp_path):
    network = keras.Sequential(
        [
            keras.Input((3, 4)),
            keras.layers.Dense(5, activation="tanh"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, bias_initializer="ones"),
        ]
    )
    x = np.random.default_rng(0).random((30, 3, 4), np.float32)
    path = tmp_path / "model.tflite"
    tfr.export_litert(network, path, calibration=x)
    expected = np.asarray(network(x, training=False))
    np.testing.assert_allclose(LiteRT(path)(x), expected, atol=0.05)


class Noise(keras.layers.Layer):
    """Adds what is drawn when it is called, far from what it answered."""

    def call(self, x):
        return x + 10 * np.random.default_rng().normal(size=3)


def test_a_file_that_differs_is_not_kept(tmp_path):
    model = keras.Sequential([keras.Input((3,)), Noise()])
    with pytest.raises(ValueError, match="differs from the original"):
        tfr.export_litert(model, tmp_path / "model.tflite", "float16")
    assert list(tmp_path.iterdir()) == []


class Subclassed(keras.Model):
    """Its dense layer can't be replaced."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(60, use_bias=False)

    def call(self, x, training=False):
        return self.dense(x)


def test_a_file_that_the_interpreter_refuses_is_not_kept(tmp_path):
    model = Subclassed()
    x = np.random.default_rng(0).random((5, 50), np.float32)
    model(x)
    kernel = model.get_weights()[0]
    model.set_weights([np.sign(kernel) * (np.abs(kernel) > 0.2)])
    path = tmp_path / "model.tflite"
    with pytest.raises(ValueError, match="default interpreter.*int8_sparse"):
        tfr.export_litert(model, path, calibration=x)
    assert list(tmp_path.iterdir()) == []
    tfr.export_litert(model, path, "int8", calibration=x)
    assert path.exists()


def test_a_layer_that_litert_does_not_have_is_named(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((4, 3)),
            keras.layers.LSTM(3, unroll=False),
            keras.layers.Dense(3),
        ]
    )
    with pytest.raises(ValueError, match="because of: TensorList"):
        tfr.export_litert(model, tmp_path / "model.tflite", "float16")
    assert list(tmp_path.iterdir()) == []


def test_of_two_at_once_the_second_keeps_the_file_and_the_card_of_the_first(
    tmp_path, shipped, monkeypatch
):
    path = tmp_path / "model.tflite"
    convert = litert._converted

    def beaten(*arguments):
        content = convert(*arguments)
        monkeypatch.setattr(litert, "_converted", convert)
        tfr.export_litert(shipped[0], path, "float16")
        return content

    monkeypatch.setattr(litert, "_converted", beaten)
    with pytest.raises(FileExistsError, match="somebody else while this was"):
        tfr.export_litert(shipped[0], path, "float16", input_name="pixels")
    files.check_hash(path)
    names = sorted(found.name for found in tmp_path.iterdir())
    assert names == ["model.tflite", "model.tflite.json"]


def test_a_flipped_bit_in_the_file_is_told_by_the_card(written, tmp_path):
    path = tmp_path / "copy.tflite"
    card = written["int8_sparse"].with_name("int8_sparse.tflite.json")
    files.card_of(path).write_bytes(card.read_bytes())
    content = written["int8_sparse"].read_bytes()
    path.write_bytes(content)
    files.check_hash(path)
    for place in np.random.default_rng(0).integers(0, len(content), 20):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(ValueError, match="must have the hashes"):
            files.check_hash(path)


def refusals(tmp_path):
    (tmp_path / "old.tflite").write_text("old")
    return [
        (FileExistsError, "old.tflite exists", {"path": "old.tflite"}),
        (ValueError, "must end in .tflite", {"path": "model.pb"}),
        (ValueError, "`format` must be one of", {"format": "int4"}),
        (ValueError, "`format` must be one of", {"format": ["int8"]}),
        (ValueError, "needs `calibration`", {"calibration": None}),
        (TypeError, "must be an array of inputs", {"calibration": "x.npy"}),
        (ValueError, "model's shape", {"calibration": np.ones([9, 6, 6])}),
        (ValueError, "that differ", {"calibration": np.ones([9, 6, 6, 1])}),
        (ValueError, "finite inputs", {"calibration": np.nan * IMAGES}),
        (
            ValueError,
            "valid range",
            {"calibration": 255 * IMAGES, "data": (IMAGES, [0] * 9)},
        ),
        (TypeError, "`data` needs an `attack`", {"data": ([], [])}),
        (ValueError, "Python identifier", {"input_name": "my image"}),
        (ValueError, "must differ from the outputs", {"input_name": "logits"}),
    ]


def test_what_cannot_be_written_is_refused(tmp_path, shipped, data):
    for error, words, given in refusals(tmp_path):
        arguments = {"path": "model.tflite", "calibration": data[0], **given}
        if "calibration" in given and "data" in given:
            arguments["attack"] = ATTACK
        path = tmp_path / arguments.pop("path")
        with pytest.raises(error, match=words):
            tfr.export_litert(shipped[0], path, **arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["old.tflite"]
