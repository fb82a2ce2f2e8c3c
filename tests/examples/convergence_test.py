import csv
import math

import pytest

pytestmark = pytest.mark.one_keras

COLUMNS = "epoch,accuracy,loss,pgd10_accuracy,val_accuracy,val_pgd_accuracy"


@pytest.fixture(name="made")
def _made(tmp_path):
    """Writes the folder of a run with these rows of history."""

    def make(name, *rows, flags="--dataset=mnist\n--epsilon=0.1\n--seed=3\n"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "flags.txt").write_text(flags)
        lines = [",".join(map(str, row)) for row in rows]
        (folder / "history.csv").write_text("\n".join([COLUMNS, *lines]))
        return folder

    return make


def test_a_row_says_how_a_run_went(script, made, tmp_path):
    start = math.log(10)
    fit = made(
        "fit",
        (0, 0.5, start - 1.0, 0.4, 0.6, 0.5),
        (1, 0.9, start - 2.0, 0.8, 0.8, 0.7),
        (2, 0.9, start - 2.0, 0.9, 0.8, 0.6),
    )
    stuck = made("stuck", (0, 0.1, start + 0.1, 0.1, 0.112, 0.112))
    table = tmp_path / "table.csv"
    code, output = script("convergence.py", f"--table={table}", fit, stuck)
    assert code == 0, output
    with table.open() as file:
        one, two = csv.DictReader(file)
    # 90 % of 2.0 is 1.8, eight tenths through the second epoch.
    assert float(one["epochs_to_fit"]) == pytest.approx(1.8)
    expected = {
        "dataset": "mnist",
        "epsilon": "0.1",
        "seed": "3",
        "train": 0.9,
        "validation": 0.6,
        "gap": 0.3,
        "best_minus_last": 0.1,
        "constant": 0,
    }
    for name, value in expected.items():
        found = one[name] if isinstance(value, str) else float(one[name])
        assert found == (
            value if isinstance(value, str) else pytest.approx(value)
        )
    assert two["constant"] == "1" and two["epochs_to_fit"] == "nan"


def test_what_is_no_run_is_named(script, made, tmp_path):
    table = f"--table={tmp_path / 'table.csv'}"
    code, output = script("convergence.py", table)
    assert code == 1 and "Name at least one folder" in output
    code, output = script("convergence.py", table, tmp_path)
    assert code == 1 and "holds no run" in output
    folder = made("one", (0, 0.5, 1.0, 0.4, 0.6, 0.5), flags="--seed=3\n")
    code, output = script("convergence.py", table, folder)
    assert code == 1 and "was run without --dataset" in output
    assert not (tmp_path / "table.csv").exists()
