import csv
import json
import types

import numpy as np
import pytest

import tfrobust as tfr
from examples import certified_methods as methods
from examples import networks
from examples.certified_methods import METHODS

pytestmark = pytest.mark.one_keras

SCRIPT = "certified_training.py"


def flags(**given):
    """Flags of certified_training.py that a method is built from."""
    default = {"train_epsilon": None, "epsilon": 0.1, "ramp": 0.5}
    default |= {"norm": "linf", "weight": 0.5, "steps": 1, "split": 1}
    return types.SimpleNamespace(**default | {"regularizer": 0.0} | given)


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_is_an_objective_at_a_growing_epsilon(name):
    network = networks.build("fc1", (28, 28, 1), 10, width=8)
    norm = "l2" if name == "gloro" else "linf"
    for steps in (1, 4):
        given = flags(method=name, norm=norm, steps=steps, regularizer=0.5)
        objective = methods.made(given, 20, network)
        assert isinstance(objective, tfr.objectives.Objective)
        assert "SmoothRamp" in repr(objective) or name == "clean"
        assert "begin=10" in repr(objective) or "taps" not in name
        fixed = methods.made(flags(**vars(given) | {"ramp": 0}), 20, network)
        assert "SmoothRamp" not in repr(fixed)
        assert "begin=0" in repr(fixed) or "taps" not in name


def test_a_run_ends_in_certificates_a_card_and_a_row(script, tmp_path):
    folder, table = tmp_path / "run", tmp_path / "table.csv"
    small = ["--epochs=2", "--train_examples=128", "--limit=8", "--timeout=0.2"]
    more = ["--l1=1e-6", "--ibp_init", "--regularizer=0.5", "--method=ibp"]
    names = [f"--model_dir={folder}", f"--table={table}"]
    code, output = script(SCRIPT, *small, *more, *names)
    assert code == 0, output
    assert (folder / "model.keras").exists()
    report = json.loads((folder / "report" / "report.json").read_text())
    assert len(report["certificates"]["verdict"]) == 8
    (card,) = folder.glob("served/*/robustness_card.json")
    assert json.loads(card.read_text())["report"]["certificates"]
    with table.open() as file:
        (row,) = csv.DictReader(file)
    assert row["method"] == "ibp" and row["l1"] == "1e-06"
    errors = [float(row[name]) for name in ("clean", "pgd", "worst case")]
    assert errors == sorted(errors) and float(row["training"]) > 0
    code, output = script(SCRIPT, *small, *more, *names)
    assert code == 1 and "holds a run" in output


def test_batch_normalisation_is_by_the_clean_batch():
    shape = (28, 28, 1)
    plain, normalized = (
        networks.build(name, shape, 10) for name in ("fc1", "normalized_cnn")
    )
    for network, kind in (
        (plain, tfr.objectives.Expressive),
        (normalized, tfr.objectives.BatchStatistics),
    ):
        assert isinstance(methods.made(flags(method="mtl"), 9, network), kind)
    x = np.zeros((2, *shape), np.float32), np.zeros(2, int)
    assert methods.reestimated(plain, x) == []
    (callback,) = methods.reestimated(normalized, x)
    assert isinstance(callback, tfr.callbacks.ReestimateBatchNorm)


def test_a_sparse_binary_network_is_certified_and_written_for_the_zoo(
    script, tmp_path
):
    small = ["--epochs=1", "--train_examples=64", "--limit=4", "--timeout=0.1"]
    sparse = ["--network=normalized_cnn", "--density=0.3", "--padding=1"]
    folder = tmp_path / "run"
    names = [f"--model_dir={folder}", "--zoo=small", "--flip"]
    code, output = script(SCRIPT, *small, *sparse, *names)
    assert code == 0, output
    with np.load(folder / "small.npz") as weights:
        kernels = [w for w in weights.values() if w.ndim > 1]
    assert len(kernels) == 4
    for kernel in kernels:
        assert len(np.unique(np.abs(kernel[kernel != 0]))) == 1
    kept = sum(np.count_nonzero(kernel) for kernel in kernels)
    assert 0.25 < kept / sum(kernel.size for kernel in kernels) < 0.35
    about = json.loads((folder / "small.npz.json").read_text())
    assert "--density=0.3" in about["command"]
