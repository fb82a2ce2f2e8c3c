"""Each item of a report is on its page, in its JSON and in its Markdown."""

import csv
import html
import json
import re
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.evaluation import Report
from tfrobust.evaluation.row import wilson
from tfrobust.evaluation.settings import in_words, seeds

WEIGHTS = np.array([[-1.0, 1.0, 0.0], [0.5, -0.5, 0.0]], np.float32)
MASK = np.array([[1.0, 0.0]], np.float32)
NAMES = "report.html", "report.json", "report.md"


def linear(x, training=False):
    return tf.reshape(x, [-1, 2]) @ WEIGHTS


@pytest.fixture(scope="module")
def problem():
    """12 examples of two features, of which the label of one is wrong."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(12, 2, 1)).astype(np.float32)
    y = np.argmax(linear(x), axis=1)
    y[3] = (y[3] + 1) % 3
    threat = tfr.threats.Linf(0.1, mask=MASK[..., np.newaxis])
    return x, y, tfr.attacks.PGD(threat, steps=2, seed=17)


@pytest.fixture(scope="module")
def attacked(problem):
    x, y, pgd = problem
    return tfr.evaluate(
        linear,
        (x, y),
        {"pgd": pgd},
        curve=(0.0, 1.0),
        diagnostic_examples=8,
        name="tiny <net>",
        dataset="toy & co",
        verbose=0,
    )


@pytest.fixture(scope="module")
def certified(problem):
    x, y, pgd = problem
    ibp = tfr.verifiers.IBP(pgd.threat)
    return tfr.certify(linear, (x, y), {"ibp": ibp}, pgd, verbose=0)


def texts(report, folder):
    """What a reader of each file sees, and the JSON as it is."""
    report.save(folder)
    page, record, markdown = ((folder / n).read_text() for n in NAMES)
    # What is in a hover or in the style isn't on paper.
    page = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    page = html.unescape(re.sub("<[^>]*>", " ", page))
    return page, json.loads(record), html.unescape(markdown)


def test_every_fact_is_on_the_page_in_markdown_and_in_json(attacked, tmp_path):
    page, record, markdown = texts(attacked, tmp_path / "report")
    info, asked = record["info"], record["info"]["adversaries"]["pgd"]
    low, high = wilson(int(attacked["pgd"].correct.sum()), 12)
    for item in (
        record["title"],
        "tiny <net>",
        "toy & co",
        info["started"],
        info["data_sha256"],
        asked["threat"],
        "steps=2",
        "step_size=0.25",
        "seed 17",
        f"tensorflow {tf.__version__}",
        f"numpy {np.__version__}",
        info["hardware"][0],
        info["command"],
        f"{low:.2%} to {high:.2%}",
        "the first 8",
        "all 12",
        "95 % Wilson score intervals",
    ):
        assert item in page, item
        assert item in markdown, item
    assert "12 examples" in page
    assert "examples: 12" in markdown
    assert record["title"] == "tiny <net> under attack"
    assert info["examples"] == 12
    assert info["input_shape"] == [2, 1]
    assert asked["seeds"] == {"seed": "17"}
    assert asked["settings"]["steps"] == "2"
    assert asked["role"] == "attack"
    assert {c["examples"] for c in record["checks"]} == {8, 12}
    assert record["rows"][1]["interval_95"] == [low, high]
    assert record["robust_accuracy"] == attacked["pgd"].accuracy
    assert record["certified_accuracy"] is None


def test_a_threat_is_told_by_norm_epsilon_range_and_mask():
    assert in_words(tfr.threats.Linf(0.25)) == (
        "linf: no feature moves by more than epsilon; epsilon 0.25; inputs "
        "stay in [0, 1]; no mask, every feature may move."
    )
    said = in_words(tfr.threats.L2(0.5, -1.0, 2.0, mask=MASK))
    assert "Euclidean norm" in said
    assert "[-1, 2]" in said
    assert "1 of 2 entries" in said
    box = in_words(tfr.threats.Box(np.array([[0.1, 0.2]], np.float32)))
    assert "from 0.1 to 0.2, an array of shape [1, 2]" in box


def test_seeds_are_found_within_other_adversaries():
    threat = tfr.threats.Linf(0.1)
    pgd = tfr.attacks.PGD(threat, seed=5)
    assert seeds(pgd) == {"seed": "5"}
    assert seeds(tfr.attacks.Transfer(pgd, print)) == {"attack.seed": "5"}


def test_the_accuracy_of_each_class_is_counted_by_hand(
    attacked, problem, tmp_path
):
    page, record, markdown = texts(attacked, tmp_path / "report")
    labels, correct = problem[1], attacked["pgd"].correct
    assert record["answers"]["label"] == labels.tolist()
    assert correct.sum() < attacked["clean"].correct.sum()
    for name, answers in record["answers"]["predicted"].items():
        right = np.array(answers) == labels
        np.testing.assert_array_equal(right, attacked[name].correct)
    counts = {one["class"]: one for one in record["per_class"]}
    assert sorted(counts) == np.unique(labels).tolist()
    for label, one in counts.items():
        right = correct[labels == label].tolist()
        assert one["examples"] == len(right)
        assert one["correct"]["pgd"] == sum(right)
        share = f"{sum(right) / len(right):.1%}"
        assert re.search(rf"\| {label} \| {len(right)} \|.* {share}", markdown)
        assert share in page


def test_the_curve_has_a_band(attacked, tmp_path):
    page, record, markdown = texts(attacked, tmp_path / "report")
    share = record["curves"]["pgd"]["accuracy"][1]
    low, high = wilson(round(8 * share), 8)
    assert record["curve_intervals_95"]["pgd"][1] == [low, high]
    for text in (page, markdown):
        assert f"{low:.2%} to {high:.2%}" in text
    drawn = (tmp_path / "report" / "report.html").read_text()
    (band,) = re.findall(r'<path class="band" d="M([^Z]*)Z', drawn)
    corners = [tuple(map(float, c.split())) for c in band.split("L")]
    line = re.search(r'polyline points="([^"]*)"', drawn)[1].split()
    for x, y in (map(float, point.split(",")) for point in line):
        below, above = sorted(b for a, b in corners if a == x)
        assert below < y + 0.1 and y - 0.1 < above
        assert below < above


def test_the_strip_has_labels_answers_and_a_scale(problem, tmp_path):
    x = np.random.default_rng(1).uniform(size=(4, 2, 1, 1)).astype(np.float32)
    y = (np.argmax(linear(x), axis=1) + [0, 0, 0, 1]) % 3
    attack = tfr.attacks.FGSM(tfr.threats.Linf(0.125))
    report = tfr.evaluate(
        linear, (x, y), attack, diagnostic_examples=0, verbose=0
    )
    page, record, markdown = texts(report, tmp_path / "report")
    clean = record["answers"]["predicted"]["clean"]
    for number in range(4):
        assert f"true {y[number]}" in page
        assert f"| {number} | {y[number]} | {clean[number]} |" in markdown
    assert "\u2717" in page
    assert re.search(r"-0\.125\s+0\.125 \(perturbation", page)
    drawn = (tmp_path / "report" / "report.html").read_text()
    assert drawn.count('class="scale"') == 2


def test_verdicts_are_a_csv_beside_the_page(certified, problem, tmp_path):
    certified.save(tmp_path / "report")
    with open(tmp_path / "report" / "verdicts.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert [int(row["label"]) for row in rows] == problem[1].tolist()
    for name in ("clean", "pgd", "ibp", "worst case"):
        found = [int(row[f"right: {name}"]) for row in rows]
        assert found == certified[name].correct.astype(int).tolist()
    verdicts = certified.certificates["verdict"]
    assert [row["verdict"] for row in rows] == verdicts
    assert rows[3]["decided_by"] == "clean"


def test_certificates_are_counted_by_verdict_and_stage(certified, tmp_path):
    page, record, markdown = texts(certified, tmp_path / "report")
    known, verdicts = record["certification"], record["certificates"]["verdict"]
    counts = known["counts"]
    assert counts["certified"] == verdicts.count("certified") > 0
    assert counts["clean errors"] == 1
    assert sum(counts.values()) == 12
    fooled = certified["clean"].correct & ~certified["pgd"].correct
    assert counts["falsified by the attack or a verifier"] == fooled.sum()
    stages = {stage["stage"]: stage for stage in known["stages"]}
    assert stages["clean"]["falsified"] == 1
    assert stages["pgd"]["falsified"] == fooled.sum()
    assert stages["ibp"]["certified"] == counts["certified"]
    assert stages["ibp"]["left"] == counts["unknown"]
    margins = [
        margin
        for margin, verdict in zip(
            record["certificates"]["margin"], verdicts, strict=True
        )
        if verdict == "certified"
    ]
    assert known["margins"]["certified"]["least"] == min(margins)
    curve = record["certified_curve"]
    accuracy = certified["worst case"].accuracy
    assert curve["epsilon"] == [0.0, 0.0, pytest.approx(0.1)]
    assert curve["accuracy"] == [11 / 12, accuracy, accuracy]
    for text in (page, markdown):
        assert "worst case (certified accuracy)" in text
        assert "certified robustness" in text
        assert f"{min(margins):.4g}" in text
        assert "clean errors" in text
        assert "slack" in text
        assert "What each stage decided" in text
        assert "below each it is at least as high" in text


def test_no_curve_is_drawn_where_there_is_no_one_radius(problem, certified):
    assert certified.to_dict()["certified_curve"] is not None
    x, y, _ = problem
    box = tfr.threats.Box(np.full((2, 1), 0.1, np.float32))
    found = tfr.certify(linear, (x, y), tfr.verifiers.IBP(box), verbose=0)
    assert found.to_dict()["certified_curve"] is None


@pytest.mark.parametrize("which", ["attacked", "certified"])
def test_reports_of_older_versions_are_loaded(which, request, tmp_path):
    report = request.getfixturevalue(which)
    record = json.loads(json.dumps(report.to_dict()))
    for name in ("answers", "title", "clean_accuracy", "robust_accuracy"):
        del record[name]
    for name in ("certified_accuracy", "certification", "per_class"):
        del record[name]
    for name in ("curve_intervals_95", "certified_curve"):
        del record[name]
    for name in ("adversaries", "command", "hardware", "input_shape"):
        del record["info"][name]
    for check in record["checks"]:
        del check["examples"]
    record["certificates"].pop("decided_by", None)
    (tmp_path / "report.json").write_text(json.dumps(record))
    older = Report.load(tmp_path)
    assert older["worst case"].accuracy == report["worst case"].accuracy
    page, _, markdown = texts(older, tmp_path / "again")
    for text in (page, markdown):
        assert "linf, epsilon 0.1" in text
        assert "PGD(threat=Linf" in text
    assert "Not recorded." in page
    assert Report.load(tmp_path / "again").to_dict() == older.to_dict()


@pytest.mark.parametrize("change", ["label", "pgd", "short", "of nobody"])
def test_answers_that_contradict_the_rest_are_refused(attacked, change):
    record = json.loads(json.dumps(attacked.to_dict()))
    answers = record["answers"]
    kept = int(np.flatnonzero(attacked["pgd"].correct)[0])
    if change == "label":
        answers["label"][0] = 1 - answers["label"][0]
    elif change == "pgd":
        answers["predicted"]["pgd"][kept] += 1
    elif change == "short":
        answers["predicted"]["pgd"].pop()
    else:
        answers["predicted"]["other"] = answers["label"]
    with pytest.raises(ValueError, match="contradicts|no report has this"):
        Report.from_dict(record)


def test_accuracies_have_names_and_their_lack_is_an_error(attacked, certified):
    assert attacked.robust_accuracy == attacked["pgd"].accuracy
    assert certified.robust_accuracy == certified["pgd"].accuracy
    assert certified.certified_accuracy == certified["worst case"].accuracy
    with pytest.raises(ValueError, match="needs a verifier.*'pgd'"):
        _ = attacked.certified_accuracy
    proven = [row for row in certified.rows if row.name != "pgd"]
    with pytest.raises(ValueError, match="needs an attack.*'ibp'"):
        _ = Report(proven, {}, [], {}, {}).robust_accuracy


def test_a_report_is_a_line_in_a_shell_and_a_table_in_a_notebook(attacked):
    line = repr(attacked)
    assert "\n" not in line
    assert "tiny <net>" in line
    assert f"robust {attacked.robust_accuracy:.2%}" in line
    shown = attacked._repr_html_()
    assert "tiny &lt;net&gt; under attack" in shown
    assert f"<td>{attacked['pgd'].accuracy:.2%}</td>" in shown
    assert "verdict" in shown


def test_pandas_gets_the_rows_or_is_asked_for(attacked, monkeypatch):
    class Frame(list):
        def set_index(self, name):
            return {row[name]: row for row in self}

    fake = types.SimpleNamespace(DataFrame=Frame)
    monkeypatch.setitem(sys.modules, "pandas", fake)
    found = attacked.to_pandas()
    assert [*found] == ["clean", "pgd", "worst case"]
    assert found["pgd"]["accuracy"] == attacked["pgd"].accuracy
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        attacked.to_pandas()


def test_the_page_is_fit_for_phones_and_paper(attacked, tmp_path):
    attacked.save(tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert 'name="viewport" content="width=device-width' in page
    assert "@media print" in page
    assert "@media (max-width" in page
    # A table wider than a phone scrolls by itself.
    bare = re.sub(r'<div class="wide"><table', "", page)
    assert "<table" not in bare
    assert 'title="' not in page


def test_radii_that_a_verifier_knows_make_the_curve(tmp_path):
    """Two features, margin 2 a - 1: class 0 is certain within a - 1/2."""
    weights = np.array([[2.0, 0.0], [0.0, 0.0]], np.float32)

    def model(x, training=False):
        return x @ weights + np.float32([-1.0, 0.0])

    x = np.float32([[0.55, 0.5], [0.58, 0.5], [0.65, 0.5], [0.9, 0.5]])
    threat = tfr.threats.Linf(0.1)
    chosen = tfr.verifiers.PolyhedralEnvelope(threat)
    report = tfr.certify(model, (x, [0, 0, 0, 1]), chosen, verbose=0)
    radii = report.certificates["radius"]
    assert radii == pytest.approx([0.05, 0.08, 0.1, 0.0], abs=1e-4)
    curve = report.to_dict()["certified_curve"]
    found = dict(zip(curve["epsilon"], curve["accuracy"], strict=True))
    for radius, share in {0.04: 3, 0.06: 2, 0.095: 1, 0.1: 1}.items():
        above = min(e for e in found if e >= radius - 1e-9)
        assert curve["accuracy"][curve["epsilon"].index(above)] == share / 4
    page, _, markdown = texts(report, tmp_path / "report")
    assert "50.00%" in page and "50.00%" in markdown
    loaded = Report.load(tmp_path / "report")
    assert loaded.to_dict() == report.to_dict()
