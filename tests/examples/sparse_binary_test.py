import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tfrobust.backend import NAME, keras

pytestmark = pytest.mark.one_keras

SCRIPT = "sparse_binary.py"
ROOT = pathlib.Path(__file__).parents[2]
SMALL = (
    "--train_examples=128",
    "--test_examples=16",
    "--width=4",
    "--steps=1",
    "--test_steps=2",
    "--epochs=2",
)


def results(folder):
    return json.loads((folder / "results.json").read_text())


def test_a_subnetwork_leaves_its_model_its_sizes_and_an_export(
    script, tmp_path
):
    folder, served = tmp_path / "run", tmp_path / "served"
    arguments = ["--density=0.2", "--p=0.5", "--stages=2"]
    code, output = script(
        SCRIPT,
        f"--model_dir={folder}",
        f"--export_dir={served}",
        *SMALL,
        *arguments,
    )
    assert code == 0, output
    assert f"Exported to {served / '1'}" in output
    row = results(folder)
    assert row["ibp"] <= row["pgd"] <= row["clean"]
    assert row["weights"] == 36 + 288 + 1152 + 160
    assert row["kept"] == pytest.approx(0.2 * row["weights"], abs=4)
    assert row["best"] < row["float32"]
    assert row["compact"]["weights"] <= row["weights"]
    assert row["compact"]["best"] <= row["best"]
    network = keras.models.load_model(folder / "model.keras")
    kernels = [w for w in network.get_weights() if w.ndim > 1]
    assert sum(np.count_nonzero(w) for w in kernels) == row["kept"]
    sizes = json.loads((folder / "sizes.json").read_text())
    assert len(sizes["layers"]) == 4
    assert (folder / "pattern.svg").exists()
    lines = (folder / "flags.txt").read_text().splitlines()
    assert {*SMALL, *arguments, "--method=subnetwork"} < set(lines)
    code, output = script(
        SCRIPT, f"--flagfile={folder / 'flags.txt'}", f"--model_dir={folder}"
    )
    assert code == 1 and "holds a run" in output.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "bits"),
    [
        (["--method=dense", "--objective=clean"], 32),
        (["--method=binary_connect", "--objective=trades"], 1),
        (["--initializer=uniform", "--density=1.0", "--objective=mart"], 32),
    ],
)
def test_other_methods_have_as_many_bits_as_they_say(
    script, tmp_path, arguments, bits
):
    folder = tmp_path / "run"
    code, output = script(
        SCRIPT,
        f"--model_dir={folder}",
        *SMALL,
        "--nolast_normalization",
        *arguments,
    )
    assert code == 0, output
    sizes = json.loads((folder / "sizes.json").read_text())
    for layer in sizes["layers"]:
        # One magnitude and full bytes come on top.
        assert bits <= layer["bits"] <= bits + 8 * 5 / layer["weights"]


@pytest.mark.skipif(
    # Importing it would switch the Keras of this process.
    importlib.util.find_spec("tensorflow_model_optimization") is None,
    reason="needs tensorflow_model_optimization",
)
def test_pruning_chooses_its_keras_itself(script, tmp_path):
    folder = tmp_path / "run"
    arguments = [f"--model_dir={folder}", *SMALL, "--method=tfmot"]
    if NAME == "tf_keras":
        code, output = script(SCRIPT, *arguments)
    else:
        # In the other tests tfrobust has been imported before.
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        environment.pop("TF_USE_LEGACY_KERAS", None)
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples" / SCRIPT), *arguments],
            env=environment,
            capture_output=True,
            text=True,
        )
        code, output = done.returncode, done.stdout + done.stderr
    assert code == 0, output
    row = results(folder)
    assert row["kept"] == pytest.approx(0.1 * row["weights"], abs=4)
    assert row["sign + mask planes"] is None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--density=0"], "`density` must lie in (0, 1]. Received: density=0"),
        (["--density=0.00001"], "at least one weight in each layer"),
        (["--p=2"], "`p` must lie in [0, 1]. Received: p=2"),
        (["--method=magic"], "value should be one of"),
        (["--stages=0"], "--stages=0: 0 is not"),
        (["extra"], "Unexpected arguments: ['extra']"),
    ],
)
def test_what_cannot_be_meant_is_refused(script, tmp_path, arguments, sentence):
    code, output = script(
        SCRIPT, f"--model_dir={tmp_path / 'new'}", *SMALL, *arguments
    )
    assert code == 1
    assert sentence in output.replace("\n", " ")
