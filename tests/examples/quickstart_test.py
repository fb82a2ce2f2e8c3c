import json

import numpy as np
import pytest
import tensorflow as tf

SCRIPT = "quickstart.py"


@pytest.fixture(scope="module")
def finished(script, tmp_path_factory):
    """The folder and the output of a run of one epoch."""
    folder = tmp_path_factory.mktemp("quickstart") / "new"
    few = ("--epochs=1", "--test_steps=2")
    code, output = script(SCRIPT, f"--output_dir={folder}", *few)
    assert code == 0, output
    return folder, output


def test_two_reports_and_a_served_model_are_written(finished):
    folder, output = finished
    for name in ("standard", "adversarial"):
        files = {path.name for path in (folder / name).iterdir()}
        kept = {"report.json", "report.md", "report.html", "verdicts.csv"}
        assert files == kept
        report = json.loads((folder / name / "report.json").read_text())
        assert report["name"] == f"{name} training"
        assert report["info"]["examples"] == 360
    loaded = tf.saved_model.load(str(folder / "served" / "1"))
    answer = loaded.signatures["serving_default"](
        image=tf.constant(np.zeros((2, 8, 8, 1), np.float32))
    )
    assert answer["logits"].shape == (2, 10)


def test_the_card_is_filled(finished):
    served = finished[0] / "served" / "1"
    card = json.loads((served / "robustness_card.json").read_text())
    report = json.loads(
        (finished[0] / "adversarial" / "report.json").read_text()
    )
    assert card["report"] == report
    assert card["report_on_these_weights"] is True
    keys = [*report][: [*report].index("footnote") + 1]
    assert [*card][: len(keys)] == keys
    for key in set(keys) - {"architecture"}:
        assert card[key] == report[key]
    assert card["artefact"]["examples"] == 360
    assert "epsilon 0.15" in card["reported_threats"]["pgd"]


def test_the_table_has_a_row_for_each_training_and_no_noise_follows(finished):
    _, output = finished
    table = output[output.index("Test accuracy at linf epsilon 0.15") :]
    rows = [line.split() for line in table.splitlines()]
    assert rows[1] == "training clean fgsm pgd pgd_margin worst case".split()
    named = {row[0]: row[1:] for row in rows[2:] if row}
    for name in ("standard", "adversarial"):
        values = [float(value.rstrip("%")) for value in named[name]]
        assert values[-1] == min(values) <= max(values) == values[0]
    assert "The exported model reads" in table
    assert "contains input name" not in output


def test_an_older_folder_is_refused_before_any_training(script, finished):
    folder, _ = finished
    code, output = script(SCRIPT, f"--output_dir={folder}")
    assert code == 1
    assert "exists. Name a new folder." in output
    assert "standard training" not in output


def test_unexpected_arguments_are_refused(script):
    code, output = script(SCRIPT, "extra")
    assert code == 1
    assert "Unexpected arguments: ['extra']" in output
