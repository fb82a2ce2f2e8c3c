import dataclasses
import errno
import json
import pathlib
import re

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.evaluation import Check, Report, Row, page
from tfrobust.evaluation.adversaries import nature
from tfrobust.evaluation.row import wilson

pytestmark = pytest.mark.keras_free

# The columns of RobustBench's model information, verbatim.
ROBUSTBENCH = [
    "link",
    "name",
    "authors",
    "additional_data",
    "number_forward_passes",
    "dataset",
    "venue",
    "architecture",
    "eps",
    "clean_acc",
    "reported",
    "autoattack_acc",
    "unreliable",
    "footnote",
]
REASON = Check("unbounded", False, "Accuracy 40.0% <everywhere>.")


@pytest.fixture
def report():
    """Four examples, of which an attack leaves one."""
    attack = "PGD(threat=Linf(epsilon=0.1))"
    worst = np.array([True, False, False, False])
    rows = [
        Row("clean", np.array([True, True, True, False]), forwards=4),
        Row("pgd", worst, attack, "linf", 0.1, 0.0999, True, True, 24, 20, 1.5),
        Row("worst case", worst, epsilon=0.1),
    ]
    info = {"name": "tiny", "architecture": "linear", "dataset": "toy"}
    info |= {"data_sha256": "0" * 64, "weights_sha256": None}
    info |= {"examples": 4, "started": "2024-01-01"}
    passed = Check("finite", True, "All logits are finite.")
    note = Check("enough_examples", False, "4 examples.", critical=False)
    return Report(rows, {}, [passed, note], {"clean": picture()}, info)


def picture():
    return {
        "point": np.zeros((4, 3)),
        "predicted": np.array([0, 1, 0, 1]),
        "label": np.array([0, 1, 0, 0]),
    }


def strictly(text):
    """Reads JSON, refusing the NaN and Infinity of Python."""

    def refuse(constant):
        pytest.fail(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    "successes, count, low, high",
    [
        # Wilson, 1927, as printed by R's prop.test(correct = FALSE).
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_the_one_of_wilson(successes, count, low, high):
    found = wilson(successes, count)
    assert found == pytest.approx((low, high), abs=5e-5)
    assert all(0.0 <= bound <= 1.0 for bound in found)


def test_the_json_begins_with_the_keys_of_robustbench(report):
    record = report.to_dict()
    assert list(record)[: len(ROBUSTBENCH)] == ROBUSTBENCH
    found = {key: record[key] for key in ROBUSTBENCH}
    assert found == {
        **dict.fromkeys(ROBUSTBENCH),
        "name": "tiny",
        "architecture": "linear",
        "dataset": "toy",
        "number_forward_passes": 1,
        "eps": 0.1,
        "clean_acc": "75.00",
        "reported": "25.00",
        "unreliable": False,
        "footnote": "4 examples.",
    }


STANDARD = tfr.attacks.AutoAttack(tfr.threats.Linf(0.1))


@pytest.mark.parametrize(
    "adversaries, expected",
    [
        ([STANDARD], "25.00"),
        ([tfr.attacks.PGD(STANDARD.threat)], None),
        ([tfr.attacks.Transfer(STANDARD, print)], None),
        ([STANDARD.replace(version="plus")], None),
        # Which of both would it be?
        ([STANDARD, STANDARD], None),
    ],
)
def test_the_field_of_autoattack_is_filled_by_its_standard_version_alone(
    report, adversaries, expected
):
    report.rows[1:2] = [
        dataclasses.replace(report.rows[1], name=f"a{n}", **nature(adversary))
        for n, adversary in enumerate(adversaries)
    ]
    assert report.to_dict()["autoattack_acc"] == expected


def test_the_json_holds_rows_verdicts_and_nothing_that_json_does_not_know(
    report, tmp_path
):
    report.rows[1].largest_norm = float("nan")
    report.save(tmp_path / "report")
    record = strictly((tmp_path / "report" / "report.json").read_text())
    attacked = record["rows"][1]
    assert attacked["norm"] == "linf"
    assert attacked["largest_norm"] is None
    assert attacked["accuracy"] == 0.25
    assert attacked["interval_95"] == list(wilson(1, 4))
    assert (attacked["forwards"], attacked["backwards"]) == (24, 20)
    assert record["rows"][0]["norm"] is None
    assert record["verdicts"]["clean"] == [1, 1, 1, 0]
    assert record["verdicts"]["worst case"] == [1, 0, 0, 0]


def test_the_markdown_is_a_table_a_verdict_and_the_diagnostics(report):
    lines = str(report).splitlines()
    assert {line.count("|") for line in lines[:5]} == {9}
    assert lines[2].startswith("| clean |  | 75.00% | 30.06% to 95.44% |  | 4")
    assert lines[3] == (
        "| pgd | 0.1 | 25.00% | 4.56% to 69.94% | 0.0999 | 24 | 20 | 1.5 |"
    )
    assert lines[4].startswith("| worst case | 0.1 | 25.00% |")
    assert "No diagnostic found a reason to distrust" in lines[6]
    assert lines[8:] == [
        "- ok: finite. All logits are finite.",
        "- note: enough_examples. 4 examples.",
    ]


def test_a_suspicious_report_is_marked_with_its_reason_wherever_it_is_read(
    report, tmp_path
):
    assert report.reliable
    report.checks.append(REASON)
    assert not report.reliable
    assert report.reasons == ["unbounded: Accuracy 40.0% <everywhere>."]
    report.save(tmp_path / "report")
    record = strictly((tmp_path / "report" / "report.json").read_text())
    assert record["unreliable"] is True
    assert record["reasons"] == report.reasons
    markdown = (tmp_path / "report" / "report.md").read_text()
    assert "UNRELIABLE: unbounded: Accuracy 40.0% &lt;everywhere>." in markdown
    assert "| FAILED | unbounded |" in markdown
    page = (tmp_path / "report" / "report.html").read_text()
    assert "UNRELIABLE" in page
    assert "<li>unbounded: Accuracy 40.0% &lt;everywhere&gt;.</li>" in page


def test_a_weak_attack_is_told_wherever_the_report_is_read(report, tmp_path):
    weak = Check("strength", False, "Use <more>.", False, overstated=0.03)
    report.checks.append(weak)
    assert weak.state == "weak"
    assert report.reliable
    assert report.recommendations == ["strength: Use <more>."]
    report.save(tmp_path / "report")
    assert Report.load(tmp_path / "report").checks[-1] == weak
    assert "TOO WEAK AN ATTACK: strength: Use &lt;more>." in str(report)
    page = (tmp_path / "report" / "report.html").read_text()
    assert '<div class="verdict weak"><b>TOO WEAK AN ATTACK.</b>' in page
    assert "<li>strength: Use &lt;more&gt;.</li>" in page
    notes = tfr.compare({"tiny": report}).notes
    assert notes == ["TOO WEAK AN ATTACK: tiny. strength: Use <more>."]
    report.checks.append(REASON)
    assert "TOO WEAK" not in str(report)


def test_saving_writes_four_files_and_never_over_older_ones(report, tmp_path):
    path = tmp_path / "deep" / "report"
    report.save(path)
    names = ["report.html", "report.json", "report.md", "verdicts.csv"]
    assert sorted(p.name for p in path.iterdir()) == names
    before = (path / "report.json").read_bytes()
    report.info["name"] = "other"
    with pytest.raises(FileExistsError, match="overwrite=True"):
        report.save(path)
    assert (path / "report.json").read_bytes() == before
    report.save(path, overwrite=True)
    assert strictly((path / "report.json").read_text())["name"] == "other"


def test_a_full_disk_leaves_no_half_of_a_report(report, tmp_path, monkeypatch):
    write = pathlib.Path.write_text

    def write_text(path, text, encoding):
        if path.name == "report.html":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, text, encoding)

    monkeypatch.setattr(pathlib.Path, "write_text", write_text)
    with pytest.raises(OSError, match="No space"):
        report.save(tmp_path / "report")
    assert list(tmp_path.iterdir()) == []


def test_what_is_saved_is_loaded_again(report, tmp_path):
    report.rows[1].largest_norm = float("nan")
    report.curves = {
        "pgd": {"epsilon": [0.0], "accuracy": [0.75], "examples": 4}
    }
    report.certificates = {
        "verdict": ["certified", "unknown", "unknown", "falsified"],
        "margin": [0.5, None, -1.0, None],
    }
    report.save(tmp_path / "report")
    loaded = Report.load(tmp_path / "report")
    assert loaded.to_dict() == report.to_dict()
    assert str(loaded) == str(report)
    assert loaded["pgd"].norm == "linf"
    assert np.isnan(loaded["pgd"].largest_norm)
    np.testing.assert_array_equal(
        loaded["worst case"].correct, report["worst case"].correct
    )
    assert loaded.checks == report.checks
    loaded.save(tmp_path / "again")
    assert (
        "No pictures were kept."
        in (tmp_path / "again" / "report.html").read_text()
    )


def test_a_folder_without_a_report_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no report.json"):
        Report.load(tmp_path)


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"rows": [1]}'])
def test_a_file_that_is_no_report_is_refused(tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ValueError, match="is damaged or of another version"):
        Report.load(tmp_path)


def test_markdown_takes_no_tag_line_or_cell_from_a_name(report):
    report.rows[1].name = "<img src=x>|\nnew\u2028\rline"
    report.checks.append(Check("</td>", False, "a <= b\n- c"))
    for text in (str(report), str(tfr.compare({"<b>|\n": report}))):
        lines = text.splitlines()
        assert not re.search("<[a-z/]", text)
        assert len({line.count("|") for line in lines if "|" in line}) == 1
        assert "&lt;img src=x>&#124; new" in text
        assert not any(line.startswith(("new", "- c")) for line in lines)
    assert "- FAILED: &lt;/td>. a <= b - c" in str(report)


def changed(record, path, value):
    """Puts a value where a path of keys leads; `del` takes it away."""
    for key in path[:-1]:
        record = record[key]
    if value == "del":
        del record[path[-1]]
    else:
        record[path[-1]] = value


@pytest.mark.parametrize(
    "path, value",
    [
        (["rows"], []),
        (["rows"], {}),
        (["rows", 1, "name"], "clean"),
        (["rows", 0, "name"], "dirty"),
        (["rows", 1, "name"], 5),
        (["rows", 1, "epsilon"], "0.1"),
        (["rows", 1, "epsilon"], True),
        (["rows", 1, "epsilon"], float("nan")),
        (["rows", 1, "forwards"], 2.5),
        (["rows", 1, "inside"], 1),
        (["rows", 1, "norm"], 2),
        (["rows", 1, "identity"], "del"),
        (["rows", 1, "accuracy"], 0.9),
        (["verdicts", "pgd"], [1, 0, 0]),
        (["verdicts", "pgd"], ["1", "0", "0", "0"]),
        (["verdicts", "pgd"], [2, 0, 0, 0]),
        (["verdicts", "pgd"], [True, False, False, False]),
        (["verdicts", "pgd"], "1000"),
        (["verdicts", "pgd"], "del"),
        (["verdicts", "other"], [1, 0, 0, 0]),
        (["checks", 0, "passed"], "yes"),
        (["checks", 0, "more"], 1),
        (["checks"], [1]),
        (["curves"], {"pgd": {"epsilon": [0], "accuracy": [], "examples": 4}}),
        (["curves", "pgd", "accuracy"], [1.5]),
        (["curves", "pgd", "examples"], "4"),
        (["certificates", "verdict"], ["unknown"] * 3),
        (["certificates", "verdict"], ["proven"] * 4),
        (["certificates", "margin"], ["0"] * 4),
        (["certificates", "margin"], None),
        (["classes"], {"labels": [1, 1]}),
        (["info", "examples"], 5),
        (["info", "name"], None),
        (["info", "data_sha256"], 7),
        (["info"], "toy"),
        (["clean_acc"], "99.00"),
        (["unreliable"], True),
        (["reasons"], "del"),
        (["surprise"], 1),
    ],
)
def test_what_no_report_says_is_refused_in_a_sentence(
    report, tmp_path, path, value
):
    report.curves = {
        "pgd": {"epsilon": [0.0], "accuracy": [0.75], "examples": 4}
    }
    report.certificates = {"verdict": ["unknown"] * 4, "margin": [None] * 4}
    report.save(tmp_path / "report")
    file = tmp_path / "report" / "report.json"
    record = json.loads(file.read_text())
    changed(record, path, value)
    file.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="is damaged or of another") as raised:
        Report.load(tmp_path / "report")
    assert len(str(raised.value).splitlines()) == 1


def test_components_are_indented_and_said_to_be_cumulative(report):
    assert "Indented" not in str(report)
    total = dataclasses.replace(report.rows[1], name="aa")
    report.rows[1].name, report.rows[1].ensemble = "aa: apgd-ce", "aa"
    report.rows.insert(2, total)
    lines = str(report).splitlines()
    assert lines[3].startswith("| \u00a0\u00a0aa: apgd-ce | 0.1 |")
    assert lines[4].startswith("| aa | 0.1 |")
    assert "the accuracies are cumulative" in lines[7]
    report.images = {}
    text = page.render(report)
    assert text.count('<td class="part">aa: apgd-ce</td>') == 1
    assert text.count('class="part"') == 1
    assert text.count("the accuracies are cumulative") == 1


def raised(report):
    report.rows[-1].correct = np.ones(4, bool)


def certified(report):
    report.certificates = {"verdict": ["certified"] * 4, "margin": [1.0] * 4}


def outside(report):
    report.rows[1].inside = False


def infinite(report):
    report.rows[1].finite = False


def of_nobody(report):
    report.curves["fgsm"] = report.curves["pgd"]


def of_more(report):
    report.curves["pgd"] = {**report.curves["pgd"], "examples": 5}


def shrunk(report):
    report.rows[1].epsilon = -1.0


def uncounted(report):
    report.classes = {"labels": [6, -2], "predicted": [3, 1]}


def useless(report):
    report.classes = {"labels": [2, 2], "predicted": [4, 0]}


@pytest.mark.parametrize(
    "change",
    [
        raised,
        certified,
        outside,
        infinite,
        of_nobody,
        of_more,
        shrunk,
        uncounted,
        useless,
    ],
)
def test_a_report_that_contradicts_itself_is_refused(report, tmp_path, change):
    points = {"epsilon": [0.0], "accuracy": [0.75], "examples": 4}
    report.curves = {"pgd": points}
    report.save(tmp_path / "sound")
    assert Report.load(tmp_path / "sound").reliable
    change(report)
    report.save(tmp_path / "changed")
    with pytest.raises(ValueError, match="no report has this|contradicts"):
        Report.load(tmp_path / "changed")


@pytest.mark.parametrize(
    ("norm", "proven", "shown"),
    [(0.0, True, ""), (0.05, True, "0.05"), (0.0, False, "0")],
)
def test_a_verifier_that_moved_nothing_shows_no_norm(norm, proven, shown):
    row = Row("a", np.ones(2, bool), "A()", largest_norm=norm, proven=proven)
    assert row.cells()["largest norm"] == shown
