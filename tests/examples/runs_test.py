"""What a run writes down of itself."""

import csv
import sys

import pytest
from absl import flags

from examples import runs

pytestmark = pytest.mark.keras_free


@pytest.fixture
def own_flags(monkeypatch):
    """Flags of a program that was called with some of them."""
    made = flags.FlagValues()
    monkeypatch.setattr(flags, "FLAGS", made)
    for name, default in (("data_dir", None), ("model_dir", None), ("zoo", "")):
        flags.DEFINE_string(name, default, "", flag_values=made)
    flags.DEFINE_integer("epochs", 30, "", flag_values=made)
    flags.DEFINE_float("epsilon", 0.1, "", flag_values=made)
    flags.DEFINE_bool("augment", False, "", flag_values=made)
    for flag in made._flags().values():
        made.register_flag_by_module(sys.argv[0], flag)
    return made


def test_a_command_has_what_differs_and_no_path_of_this_machine(own_flags):
    own_flags(
        "script --epochs=2 --epsilon=0.1 --augment --zoo=x "
        "--data_dir=/somewhere/else --model_dir=/tmp/mnist".split()
    )
    words = runs.command("/somewhere/examples/train.py").split()
    assert words[:2] == ["python", "examples/train.py"]
    assert sorted(words[2:]) == [
        "--augment",
        "--data_dir=data",
        "--epochs=2",
        "--model_dir=runs/mnist",
    ]


def test_rows_of_other_columns_go_to_a_table_beside(
    own_flags, tmp_path, capsys
):
    own_flags(["script"])
    table, other = tmp_path / "runs.csv", tmp_path / "runs-2.csv"
    for rows in ([{"clean": 1}], [{"clean": 2}, {"clean": 3}], [{"aa": 4}]):
        runs.append(table, rows)
    assert f"{table} has other columns" in capsys.readouterr().out
    runs.append(table, [{"aa": 5}])
    found = [
        list(csv.DictReader(path.read_text().splitlines()))
        for path in (table, other)
    ]
    assert [row["clean"] for row in found[0]] == ["1", "2", "3"]
    assert [row["aa"] for row in found[1]] == ["4", "5"]
    assert {row["epochs"] for row in found[0] + found[1]} == {"30"}
