import csv
import json
import math

import pytest

pytestmark = pytest.mark.one_keras


@pytest.mark.parametrize("name", ["landscape", "interpret"])
def test_a_page_is_written_once_and_not_overwritten(script, tmp_path, name):
    folder, alone = tmp_path / name, tmp_path / "alone.csv"
    flags = ["--limit=12", "--few=4", f"--output_dir={folder}"]
    code, output = script(f"{name}.py", *flags, f"--table={alone}")
    assert code == 0, output
    assert f"The page is {folder / 'index.html'}" in output
    stored = json.loads((folder / "report.json").read_text())
    assert len(stored["sections"]) == {"landscape": 3, "interpret": 4}[name]
    for values in stored["sections"].values():
        for value in values:
            assert value in output
    code, output = script(f"{name}.py", *flags, "--seed=1")
    assert code == 1 and "holds something else" in output
    table = tmp_path / "table.csv"
    more = [f"--compare={folder}", f"--table={table}"]
    code, output = script(f"{name}.py", *flags, *more)
    assert code == 0, output
    with table.open() as file:
        rows = list(csv.DictReader(file))
    names = [v for values in stored["sections"].values() for v in values]
    assert [row["value"] for row in rows] == names
    with alone.open() as file:
        found = {r["value"]: float(r["mean"]) for r in csv.DictReader(file)}
    values = {
        k: v for part in stored["sections"].values() for k, v in part.items()
    }
    expected = {name: value["mean"] for name, value in values.items()}
    assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)
    differences = [float(row["difference"]) for row in rows]
    assert all(d == 0 or math.isnan(d) for d in differences)
    assert {row["limit"] for row in rows} == {"12"}


def test_what_is_no_keras_model_is_refused(script, tmp_path):
    (tmp_path / "saved_model.pb").touch()
    flags = [f"--model={tmp_path}", f"--output_dir={tmp_path / 'page'}"]
    code, output = script("landscape.py", *flags)
    assert code == 1 and "--model must be a .keras file" in output


def test_a_judge_is_a_keras_file(script, tmp_path):
    flags = [f"--output_dir={tmp_path / 'page'}", f"--judge={tmp_path}"]
    (tmp_path / "saved_model.pb").touch()
    code, output = script("interpret.py", *flags)
    assert code == 1 and "--judge must be a .keras file" in output
