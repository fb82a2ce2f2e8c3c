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


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_is_an_objective_at_a_growing_epsilon(name):
    norm = tfr.threats.L2 if name == "gloro" else tfr.threats.Linf
    ramp = tfr.schedules.SmoothRamp(0.0, 0.1, end=10)
    for steps in (1, 4):
        recipe = types.SimpleNamespace(
            threat=norm(ramp), epsilon=0.1, weight=0.5, steps=steps
        )
        recipe.regularizer = 0.5
        objective = METHODS[name](recipe)
        assert isinstance(objective, tfr.objectives.Objective)
        assert "SmoothRamp" in repr(objective) or name == "clean"


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
    recipe = types.SimpleNamespace(
        threat=tfr.threats.Linf(0.1), weight=0.5, steps=1, regularizer=0.0
    )
    shape = (28, 28, 1)
    plain, normalized = (
        networks.build(name, shape, 10) for name in ("fc1", "normalized_cnn")
    )
    for network, kind in (
        (plain, tfr.objectives.Expressive),
        (normalized, tfr.objectives.BatchStatistics),
    ):
        assert isinstance(methods.made("mtl", recipe, network), kind)
    x = np.zeros((2, *shape), np.float32), np.zeros(2, int)
    assert methods.reestimated(plain, x) == []
    (callback,) = methods.reestimated(normalized, x)
    assert isinstance(callback, tfr.callbacks.ReestimateBatchNorm)
