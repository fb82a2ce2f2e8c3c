import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.evaluation import Check, Report, Row

pytestmark = pytest.mark.keras_free

PGD = "PGD(steps=10)"


def row(name, correct, adversary, epsilon, **options):
    told = {"identity": adversary, "threat": f"linf {epsilon}", **options}
    return Row(name, correct, adversary, "linf", epsilon, **told)


def report(name="plain", right=5, pgd=PGD, examples=10, epsilon=0.1, **info):
    """All clean examples are right, and so many under attack."""
    correct = np.arange(examples) < right
    rows = [
        Row("clean", np.ones(examples, bool)),
        row("pgd", correct, pgd, epsilon),
        row("aa: apgd-ce", correct, "APGD()", epsilon, ensemble="aa"),
        row("aa", correct, "AutoAttack()", epsilon),
        Row("worst case", correct, epsilon=epsilon),
    ]
    curves = {
        attack: {
            "epsilon": [0.0, epsilon],
            "accuracy": [1.0, lowest],
            "examples": examples,
        }
        for attack, lowest in (("pgd", 0.9), ("aa", 0.5))
    }
    info = {
        "name": name,
        "architecture": "net",
        "dataset": "digits",
        "data_sha256": "0123456789",
        "weights_sha256": None,
        "examples": examples,
        "started": "today",
        **info,
    }
    return Report(rows, curves, [Check("finite", True, "Fine.")], {}, info)


def certified():
    """Of ten, four are certified and three are open."""
    found = report("proven")
    verdicts = ["certified"] * 4 + ["unknown"] * 3 + ["falsified"] * 3
    proven = np.arange(10) < 4
    found.rows[2:] = [
        row("crown", proven, "CROWN()", 0.1),
        Row("worst case", proven, epsilon=0.1),
    ]
    found.certificates = {"verdict": verdicts, "margin": [None] * 10}
    found.curves = {}
    return found


def test_each_model_has_a_row_of_accuracies_with_intervals():
    found = tfr.compare({"plain": report(), "robust": report(right=8)})
    lines = str(found).splitlines()
    assert lines[0] == (
        "| model | dataset | data | examples | threat | clean | pgd | aa | "
        "worst case | reliable |"
    )
    half = "50.00% (23.66% to 76.34%)"
    assert lines[2] == (
        "| plain | digits | 01234567 | 10 | linf 0.1 | 100.00% (72.25% to "
        f"100.00%) | {half} | {half} | {half} | yes |"
    )
    assert lines[3].startswith("| robust |")
    assert lines[3].count("80.00%") == 3
    assert len(lines) == 4
    assert found.notes == []


@pytest.mark.parametrize(
    "other, note",
    [
        ({"dataset": "mnist"}, "dataset. a: digits; b: mnist"),
        ({"data_sha256": "f" * 64}, "data. a: 01234567; b: ffffffff"),
        ({"data_sha256": None}, "data. a: 01234567; b: unknown"),
        ({"examples": 20}, "examples. a: 10; b: 20"),
        ({"epsilon": 0.2}, "threat. a: linf 0.1; b: linf 0.2"),
        (
            {"pgd": "PGD(steps=20)"},
            f"configuration of pgd. a: {PGD}; b: PGD(steps=20)",
        ),
    ],
)
def test_what_was_not_alike_is_said(other, note):
    found = tfr.compare({"a": report(), "b": report(**other)})
    assert found.notes == [f"NOT ALIKE: {note}"]
    assert f"- NOT ALIKE: {note}" in str(found)


def test_adversaries_of_one_model_alone_are_not_run_on_the_others():
    other = report()
    other.rows[1].name = "fgsm"
    cells = tfr.compare({"a": report(), "b": other}).cells()
    assert cells["a"]["fgsm"] == cells["b"]["pgd"] == "not run"
    assert cells["b"]["fgsm"] == cells["a"]["pgd"] != "not run"


def test_what_is_certified_stands_apart_from_what_survived():
    cells = tfr.compare([report(), certified()]).cells()
    assert cells["proven"]["certified"].startswith("40.00%")
    assert cells["proven"]["worst case"].startswith("70.00%")
    assert cells["plain"]["certified"] == "not run"
    assert cells["plain"]["worst case"].startswith("50.00%")
    assert "certified" not in tfr.compare([report()]).cells()["plain"]


def test_an_unreliable_report_is_marked_with_its_reasons():
    bad = report()
    bad.checks.append(Check("unbounded", False, "Masked."))
    found = tfr.compare({"good": report(), "bad": bad})
    assert found.cells()["good"]["reliable"] == "yes"
    assert found.cells()["bad"]["reliable"] == "NO"
    assert found.notes == ["UNRELIABLE: bad. unbounded: Masked."]


def test_a_comparison_is_saved_with_one_line_a_model(tmp_path):
    report().save(tmp_path / "report")
    found = tfr.compare(
        {"<a>": tmp_path / "report", "b": report(examples=20), "c": certified()}
    )
    found.save(tmp_path / "both")
    record = json.loads((tmp_path / "both" / "compare.json").read_text())
    assert record["notes"] == found.notes
    model = record["models"]["<a>"]
    assert model["accuracies"]["pgd"]["accuracy"] == 0.5
    # The lowest of both curves.
    assert model["curve"]["accuracy"] == [1.0, 0.5]
    assert record["models"]["c"]["curve"] is None
    assert (tmp_path / "both" / "compare.md").read_text() == str(found)
    page = (tmp_path / "both" / "compare.html").read_text()
    assert page.count("<polyline") == 2
    assert page.count("<tr>") == 4
    assert "<td>&lt;a&gt;</td>" in page
    assert "On the first 10 or 20 examples." in page
    assert "NOT ALIKE: examples" in page
    with pytest.raises(FileExistsError, match="overwrite=True"):
        found.save(tmp_path / "both")


@pytest.mark.parametrize(
    "reports, error, message",
    [
        ({}, ValueError, "at least one report"),
        ([report(), report()], ValueError, "different names.*'plain', 'plain'"),
        ({"a": dataclasses.asdict}, TypeError, "must hold reports"),
        ({"a": "nowhere"}, FileNotFoundError, "no report.json"),
    ],
)
def test_other_reports_are_refused(reports, error, message):
    with pytest.raises(error, match=message):
        tfr.compare(reports)


def test_what_reads_alike_but_is_not_is_said():
    masks = [np.zeros([40, 40]), np.zeros([40, 40])]
    masks[1][20, 20] = 1
    data = np.zeros([2, 40, 40], np.float32), [0, 1]

    def model(x, training=False):
        return tf.reshape(x, [-1, 1600])[:, :2]

    def evaluated(mask):
        attack = tfr.attacks.FGSM(tfr.threats.Linf(0.1, mask=mask))
        options = {"diagnostic_examples": 0, "name": "net", "verbose": 0}
        return tfr.evaluate(model, data, {"fgsm": attack}, **options)

    one, other = map(evaluated, masks)
    assert one["fgsm"].adversary == other["fgsm"].adversary
    threat, attack, *_ = tfr.compare({"a": one, "b": other}).notes
    assert threat.startswith("NOT ALIKE: threat. a: linf 0.1 (")
    assert attack.startswith("NOT ALIKE: configuration of fgsm. a: FGSM(")
    again = tfr.compare({"a": one, "b": evaluated(masks[0])}).notes
    assert not [note for note in again if note.startswith("NOT ALIKE")]


def test_what_is_not_known_is_not_alike():
    one, other = report(data_sha256=None), report(data_sha256=None)
    one.rows[1].identity = other.rows[1].identity = None
    assert tfr.compare({"a": one, "b": other}).notes == [
        "NOT ALIKE: data. a: unknown (not known); b: unknown (not known)",
        f"NOT ALIKE: configuration of pgd. a: {PGD} (not known); "
        f"b: {PGD} (not known)",
    ]
