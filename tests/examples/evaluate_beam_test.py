import importlib.util
import json

import numpy as np
import pytest

from tfrobust.backend import keras

pytestmark = pytest.mark.one_keras

SCRIPT = "evaluate_beam.py"
INSTALLED = importlib.util.find_spec("apache_beam") is not None


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The path of a linear classifier of digits."""
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    path = tmp_path_factory.mktemp("models") / "linear.keras"
    network.save(path)
    return path


@pytest.mark.skipif(
    not INSTALLED, reason="Apache Beam is missing: pip install 'tfrobust[beam]'"
)
def test_a_model_is_attacked_in_shards(script, model, tmp_path):
    code, output = script(
        SCRIPT,
        f"--model={model}",
        "--attack=fgsm",
        "--limit=20",
        "--batch_size=8",
        "--shard_size=8",
        "--diagnostic_examples=0",
        f"--report={tmp_path / 'report'}",
        "--runner=DirectRunner",
        "--",
        "--direct_num_workers=1",
    )
    assert code == 0, output
    assert "| fgsm | 0.05 |" in output
    record = json.loads((tmp_path / "report" / "report.json").read_text())
    assert record["info"]["examples"] == 20
    assert len(record["info"]["data_sha256"]) == 64
    assert np.shape(record["verdicts"]["fgsm"]) == (20,)


@pytest.mark.skipif(INSTALLED, reason="Apache Beam is there.")
def test_a_missing_beam_is_named(script, model):
    code, output = script(SCRIPT, f"--model={model}")
    assert code == 1
    assert "pip install 'tfrobust[beam]'" in output


@pytest.mark.parametrize(
    "options, message",
    [
        (("--model=none.keras",), "there is nothing at none.keras"),
        (("--model=none.keras", "--epsilo=1"), "Unknown command line flag"),
        (("--model=none.keras", "--", "x"), "Unexpected arguments: ['x']"),
    ],
)
def test_flags_that_cant_work_are_refused_first(script, options, message):
    code, output = script(SCRIPT, *options)
    assert code == 1
    assert message in output
