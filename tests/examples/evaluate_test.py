import json
import pathlib
import runpy
import sys

import numpy as np
import pytest
from absl import flags

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.commands.reports import objections
from tfrobust.evaluation import Check, Report, Row

pytestmark = pytest.mark.one_keras

SCRIPT = "evaluate.py"


def linear(kernel, bias):
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    network.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
    return network


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A linear classifier, and what only bears the name of another file."""
    folder = tmp_path_factory.mktemp("models")
    kernel = np.random.default_rng(0).normal(size=(64, 10))
    linear(kernel, np.zeros(10)).save(folder / "linear.keras")
    (folder / "linear.tflite").touch()
    return folder


@pytest.fixture(scope="module")
def functions():
    """Those of the script, whose flags can be defined but once."""
    path = pathlib.Path(__file__).parents[2] / "examples" / SCRIPT
    sys.path.insert(0, str(path.parent))
    yield runpy.run_path(str(path), run_name="evaluate_script")
    sys.path.remove(str(path.parent))


def test_a_model_is_attacked_reported_and_stopped_at_the_gate(
    script, folder, tmp_path
):
    code, output = script(
        SCRIPT,
        f"--model={folder / 'linear.keras'}",
        "--attack=fgsm",
        "--limit=16",
        f"--state={tmp_path / 'state'}",
        f"--report={tmp_path / 'report'}",
        "--min_accuracy=1",
    )
    assert code == 1
    record = json.loads((tmp_path / "report" / "report.json").read_text())
    assert record["info"]["examples"] == 16
    assert record["name"] == str(folder / "linear.keras")
    reached = np.mean(record["verdicts"]["worst case"])
    assert f"GATE: Accuracy {reached:.2%} < 100.00%." in output
    assert (tmp_path / "state").exists()


def report(right, *checks):
    rows = [
        Row(name, np.arange(4) < count)
        for name, count in (("clean", 4), ("worst case", right))
    ]
    return Report(rows, {}, list(checks), {}, {})


def test_the_gate_says_what_is_in_the_way():
    masked = Check("unbounded", False, "Masked.")
    note = Check("enough_examples", False, "Few.", critical=False)
    low, unreliable = "Accuracy 50.00% < 75.00%.", "Unreliable: unbounded: "
    assert objections(report(3, note), 0.75) == []
    assert objections(report(2), 0.75) == [low]
    assert objections(report(3, masked), 0.75) == [f"{unreliable}Masked."]
    weak = Check("strength", False, "Weak.", False, overstated=0.02)
    assert objections(report(3, weak), 0.75) == ["Too weak: strength: Weak."]
    both = [low, f"{unreliable}Masked."]
    assert objections(report(2, masked), 0.75) == both


def test_a_file_without_gradients_is_attacked_through_its_surrogate(
    functions, folder
):
    flags.FLAGS(
        [
            "evaluate",
            f"--model={folder / 'linear.tflite'}",
            f"--surrogate={folder / 'linear.keras'}",
            "--attack=pgd",
            "--attack=apgd",
        ]
    )
    functions["check_flags"](["evaluate"])
    threat = tfr.threats.Linf(0.1)
    found = functions["adversaries"](threat)
    assert list(found) == [
        "pgd on the surrogate",
        "apgd on the surrogate",
        "square",
    ]
    pgd, apgd, square = found.values()
    assert isinstance(pgd.attack, tfr.attacks.PGD)
    assert isinstance(apgd.attack, tfr.attacks.APGD)
    assert pgd.surrogate.count_params() == 650
    assert isinstance(square, tfr.attacks.Square)
    assert {attack.threat for attack in found.values()} == {threat}


@pytest.mark.parametrize(
    "options, message",
    [
        (("extra",), "Unexpected arguments: ['extra']"),
        (("--model=none.keras",), "--model: there is nothing at none.keras."),
        (
            ("--model={}/linear.tflite",),
            "Pass a --surrogate, or --attack=square.",
        ),
        (("--model={}",), "--model must be a .keras or .tflite file, a"),
        (("--surrogate={}/linear.tflite",), "must be a .keras file."),
        (("--report={}",), "exists. Name a new one."),
        (
            ("--surrogate={}/linear.keras", "--attack=rand"),
            "--attack=rand can't be found on a --surrogate. Choose one of",
        ),
        (("--min_accuracy=2",), "flag --min_accuracy=2"),
    ],
)
def test_flags_that_cant_work_are_refused_first(
    script, folder, options, message
):
    options = [option.format(folder) for option in options]
    code, output = script(SCRIPT, *options)
    assert code == 1
    assert message in output
    assert "Traceback" not in output
