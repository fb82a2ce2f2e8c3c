"""SavedModels answer wherever TensorFlow Serving's loader runs."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import tfrobust as tfr

THREAT = tfr.threats.Linf(0.004)
LIBRARY = pathlib.Path(tf.sysconfig.get_lib()) / "libtensorflow_cc.so.2"
CLIENT = pathlib.Path(__file__).with_name("c_api_client.py")


def signatures(folder):
    """The signatures as a server reads them, without loading anything."""
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((folder / "saved_model.pb").read_bytes())
    return model.meta_graphs[0].signature_def


def ask(folder, x, tmp_path, **outputs):
    """Runs the client of the C API in a process without TensorFlow.

    Args:
        folder: Folder of the SavedModel.
        x: Inputs.
        tmp_path: Where to exchange files.
        **outputs: Pairs of an output's name and type, by signature.

    Returns:
        What each signature answered, in their order.
    """
    np.save(tmp_path / "x.npy", x)
    command = [sys.executable, "-I", CLIENT, LIBRARY, folder]
    command.append(tmp_path / "x.npy")
    for signature, (output, kind) in outputs.items():
        found = signatures(folder)[signature]
        names = found.inputs["image"].name, found.outputs[output].name
        file = tmp_path / f"{signature}.npy"
        command.append(f"{','.join(names)},{kind},{file}")
    ran = subprocess.run(command, cwd="/", capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(ran.stderr)
    return [np.load(tmp_path / f"{signature}.npy") for signature in outputs]


needs_library = pytest.mark.skipif(
    not LIBRARY.exists(), reason=f"This TensorFlow has no {LIBRARY.name}."
)


@needs_library
def test_the_c_api_answers_as_network_and_verifier_do(shipped, data, tmp_path):
    network, folder = shipped
    x, y = data
    logits, margin, chosen = ask(
        folder,
        x,
        tmp_path,
        serving_default=("logits", "float32"),
        certify=("margin", "float32"),
        predict_or_abstain=("class", "int64"),
    )
    expected = np.asarray(network(x, training=False))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    margins = np.array(tfr.verifiers.IBP(THREAT).margins(network, x, y))
    np.put_along_axis(margins, y[:, np.newaxis], np.inf, axis=1)
    least = margins.min(axis=1)
    np.testing.assert_allclose(margin, least, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(chosen, np.where(least > 0, y, -1))
    assert -1 in chosen and np.any(chosen >= 0)


@needs_library
def test_a_corrupted_kernel_does_not_load(shipped, data, tmp_path, corrupted):
    with pytest.raises(RuntimeError, match="packed kernel .* is corrupted"):
        ask(corrupted, data[0], tmp_path)
    with pytest.raises(tf.errors.InvalidArgumentError, match="is corrupted"):
        tf.saved_model.load(str(corrupted))


@needs_library
@pytest.mark.parametrize(
    "signature", ["serving_default", "certify", "predict_or_abstain"]
)
def test_an_image_without_a_batch_is_an_error_that_no_server_dies_of(
    shipped, tmp_path, signature
):
    image = np.full([6, 6, 1], 0.5)
    with pytest.raises(RuntimeError, match=r"expected shape \[\?,6,6,1\]"):
        ask(shipped[1], image, tmp_path, **{signature: ("class", "int64")})


def test_the_command_line_tool_answers(shipped, data, tmp_path):
    network, folder = shipped
    np.save(tmp_path / "x.npy", data[0])
    tool = "from tensorflow.python.tools.saved_model_cli import main; main()"
    command = [sys.executable, "-I", "-c", tool, "run", "--dir", folder]
    command += ["--tag_set", "serve", "--signature_def", "predict_or_abstain"]
    command += ["--inputs", f"image={tmp_path / 'x.npy'}"]
    command += ["--outdir", tmp_path / "out"]
    ran = subprocess.run(command, cwd="/", capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    found = np.load(tmp_path / "out" / "class.npy")
    assert set(found) - {-1} <= set(data[1]) and -1 in found


def test_the_warm_up_replays_through_the_official_messages(shipped):
    logs = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2",
        reason='needs pip install "tfrobust[serving]"',
    )
    _, folder = shipped
    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    model = tf.saved_model.load(str(folder))
    replayed = []
    for record in tf.data.TFRecordDataset(str(path)):
        log = logs.PredictionLog.FromString(record.numpy())
        assert log.WhichOneof("log_type") == "predict_log"
        # Nothing that the official message doesn't know.
        assert log.SerializeToString(deterministic=True) == record.numpy()
        request = log.predict_log.request
        assert request.model_spec.name == "digits"
        inputs = {
            name: tf.constant(tf.make_ndarray(value))
            for name, value in request.inputs.items()
        }
        signature = request.model_spec.signature_name
        assert model.signatures[signature](**inputs)["class"].shape == (1,)
        replayed.append(signature)
    assert replayed == ["serving_default", "certify", "predict_or_abstain"]


def test_the_server_is_told_where_the_model_is(shipped):
    base = shipped[1].parent
    assert (base / "models.config").read_text() == (
        "model_config_list {\n  config {\n"
        f'    name: "digits"\n    base_path: "{base}"\n'
        '    model_platform: "tensorflow"\n  }\n}\n'
    )
    assert (
        "max_batch_size { value: 32 }" in (base / "batching.config").read_text()
    )
