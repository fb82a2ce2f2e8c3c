import csv

import pytest

import tfrobust as tfr
from examples.fast_methods import METHODS

pytestmark = pytest.mark.one_keras

SCRIPT = "fast_training.py"
SMALL = (
    "--train_examples=100",
    "--test_examples=16",
    "--aa_examples=2",
    "--batch_size=32",
    "--width=2",
    "--epochs=2",
    "--learning_rate=0.01",
)


@pytest.fixture(scope="module")
def rows(script, tmp_path_factory):
    """The table of three runs, and what the last one printed."""
    table = tmp_path_factory.mktemp("fast") / "new" / "table.csv"
    for arguments in (
        ["--method=adat", "--ramp=0.5"],
        ["--method=free", "--visits=2"],
        ["--method=atas", "--augment"],
    ):
        code, output = script(SCRIPT, *SMALL, *arguments, f"--table={table}")
        assert code == 0, output
    with table.open() as file:
        return list(csv.DictReader(file)), output


def test_each_run_adds_a_row_with_its_flags(rows):
    methods = [row["method"] for row in rows[0]]
    assert methods == ["adat", "free", "atas"]
    assert [row["augment"] for row in rows[0]] == ["False", "False", "True"]
    for row in rows[0]:
        assert row["width"] == "2"
        assert row["learning_rate"] == "0.01"
        assert float(row["seconds"]) > 0
        assert 0 <= float(row["pgd50"]) <= float(row["clean"]) <= 1
        assert float(row["aa"]) in (0, 0.5, 1)


def test_passes_are_counted_for_each_example_and_step(rows):
    passes = [(row["forward"], row["backward"]) for row in rows[0]]
    assert passes == [("5.0", "2.0"), ("1.0", "1.0"), ("2.0", "2.0")]


def test_the_row_is_printed_under_its_names(rows):
    names, values = (line.split() for line in rows[1].splitlines()[-2:])
    assert (
        dict(zip(names, values, strict=True)).items()
        >= {
            "method": "atas",
            "forward": "2",
            "backward": "2",
        }.items()
    )


@pytest.mark.parametrize("name", METHODS)
def test_each_method_is_an_objective_on_the_threat(name):
    threat = tfr.threats.L1(2.0) if name == "fast_egl1" else tfr.threats.L2(0.1)
    crop = tfr.instances.CropFlip(1)
    objective = METHODS[name](threat, augmentation=crop, steps=9)
    assert isinstance(objective, tfr.objectives.Objective)
    attacks = list(objective.adversaries().values())
    assert [attack.threat for attack in attacks] == [threat] * len(attacks)
    assert len(attacks) == (name != "clean")
    if objective.keeps_pixels():
        assert objective.augmentation is crop


def test_the_weight_of_nuat_grows_to_that_of_the_paper():
    objective = METHODS["nuat"](tfr.threats.Linf(0.1), steps=30)
    weights = [float(objective.at(step).weight) for step in (0, 10, 20, 29)]
    assert weights == pytest.approx([0, 2.25, 4.5, 4.5])


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("extra", "Unexpected arguments: ['extra']"),
        ("--method=magic", "value should be one of"),
        ("--method=fast_egl1", "threat=Linf("),
        ("--aa_examples=-1", "--aa_examples=-1"),
        ("--visits=0", "--visits=0"),
        ("--visits=3", "are no FLAGS.visits=3 in a row"),
    ],
)
def test_what_cannot_be_meant_is_refused(script, argument, sentence):
    code, output = script(SCRIPT, argument)
    assert code == 1
    assert sentence in output.replace("\n", " ")
    assert "Epoch 1" not in output
