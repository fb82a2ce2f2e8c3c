"""The examples on hard instances and on adaptive targets."""

import csv

import numpy as np
import pytest

pytestmark = pytest.mark.one_keras

SMALL = ("--train_examples=200", "--width=2", "--epochs=2")


@pytest.fixture(scope="module")
def hard(script, tmp_path_factory):
    """The folder of a run of hard_instances.py, its flags, what it printed."""
    folder = tmp_path_factory.mktemp("hard") / "new"
    flags = (
        *SMALL,
        "--skip=1",
        "--subset=50",
        "--steps=2",
        "--test_examples=50",
        f"--output_dir={folder}",
    )
    code, output = script("hard_instances.py", *flags)
    assert code == 0, output
    return folder, flags, output


def test_instances_groups_and_subsets_are_written(hard):
    folder, _, output = hard
    with np.load(folder / "instances.npz") as kept:
        assert kept["recorded_loss"].shape == (2, 200)
        assert kept["feature_norm"].shape == (2, 200)
    with (folder / "groups.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["value"] for row in rows] == 2 * ["recorded_loss"] + 2 * [
        "feature_norm"
    ]
    # The ranking is by the losses of the second epoch.
    losses = [float(rows[1][str(group)]) for group in range(10)]
    assert losses == sorted(losses, reverse=True)
    with (folder / "subsets.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2
    assert (folder / "figure.png").stat().st_size > 5000
    for kind in ("easy", "random", "hard"):
        assert f"\n{kind} " in output


def test_another_run_is_not_overwritten(hard, script):
    folder, flags, _ = hard
    before = (folder / "groups.csv").read_bytes()
    code, output = script("hard_instances.py", *flags)
    assert code != 0 and "FileExistsError" in output
    assert (folder / "groups.csv").read_bytes() == before


def test_adaptive_targets_are_compared(script, tmp_path):
    table = tmp_path / "table.csv"
    code, output = script(
        "adaptive_targets.py", *SMALL, "--augment", f"--table={table}"
    )
    assert code == 0, output
    with table.open() as file:
        rows = list(csv.DictReader(file))
    names = [row["targets"] for row in rows]
    assert names == ["plain", "adaptive", "reweighted"]
    for row in rows:
        gap = float(row["best"]) - float(row["last"])
        assert float(row["gap"]) == pytest.approx(gap) and gap >= 0
    assert "reweighted" in output
