import json
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr

pytestmark = pytest.mark.keras_free

CLEAN, ATTACKED = 36 / 40, 26 / 40


def evaluate(model, data, adversaries, **options):
    """Without the diagnostics, unless asked for."""
    options = {"diagnostic_examples": 0, "verbose": 0, **options}
    return tfr.evaluate(model, data, adversaries, **options)


class Far(tfr.Attack):
    """Moves every feature by `length`, whatever the threat allows."""

    def __init__(self, threat, length):
        self.threat, self.length = threat, length

    def _perturb(self, model, x, y, start, step):
        return x + self.length


class Exact(tfr.Verifier):
    """The margins of the linear model, by hand."""

    def __init__(self, threat):
        self.threat = threat

    def margins(self, model, x, y):
        logits = model(x, training=False)
        true = tf.one_hot(y, 2)
        gap = tf.reduce_sum(logits * true, 1, keepdims=True) - logits
        return (1 - true) * (gap - 8 * self.threat.epsilon)


def test_rows_hold_the_accuracies_that_are_known_by_hand(
    model, data, threat, pgd
):
    adversaries = {
        "pgd": pgd,
        "fgsm": tfr.attacks.FGSM(threat),
        "exact": Exact(threat),
    }
    report = evaluate(model, data, adversaries)
    accuracies = {row.name: row.accuracy for row in report.rows}
    assert accuracies == {
        "clean": CLEAN,
        "pgd": ATTACKED,
        "fgsm": ATTACKED,
        "exact": ATTACKED,
        "worst case": ATTACKED,
    }
    expected = np.repeat([False, True, False], [10, 26, 4])
    for name in ("pgd", "fgsm", "exact", "worst case"):
        np.testing.assert_array_equal(report[name].correct, expected)
    with pytest.raises(KeyError, match="named 'apgd'.*'clean', 'pgd'"):
        report["apgd"]


def test_an_example_counts_as_right_only_if_it_is_right_clean(
    model, data, threat
):
    # At a mean above one, everything is class 1: the wrongly labelled too.
    report = evaluate(model, data, {"far": Far(threat, 0.9)})
    clean, attacked = report["clean"].correct, report["far"].correct
    np.testing.assert_array_equal(attacked, clean & (data[1] == 1))


def test_confirmed_norms_and_places_are_those_of_the_points(
    model, data, threat
):
    adversaries = {"near": Far(threat, 0.05), "far": Far(threat, 0.3)}
    report = evaluate(model, data, adversaries)
    assert report["near"].largest_norm == pytest.approx(0.05, rel=1e-4)
    assert report["far"].largest_norm == pytest.approx(0.3, rel=1e-4)
    assert report["near"].inside
    assert not report["far"].inside
    assert any(reason.startswith("in_threat") for reason in report.reasons)
    assert report["near"].epsilon == pytest.approx(0.1)


def test_passes_are_counted_exactly(model, data, threat):
    adversaries = {
        "fgsm": tfr.attacks.FGSM(threat),
        "pgd": tfr.attacks.PGD(threat, steps=4),
        "last": tfr.attacks.PGD(threat, steps=4, best=False),
        "restarts": tfr.attacks.PGD(threat, steps=4, restarts=3),
    }
    rows = evaluate(model, data, adversaries, batch_size=17).rows
    passes = {row.name: (row.forwards, row.backwards) for row in rows}
    # One more forward judges the point, and one each finds the best iterate.
    # What is wrong clean is not attacked.
    assert passes == {
        "clean": (40, 0),
        "fgsm": (36 * 2, 36),
        "pgd": (36 * 6, 36 * 4),
        "last": (36 * 5, 36 * 4),
        "restarts": (36 * (3 * 5 + 1), 36 * 12),
        "worst case": (0, 0),
    }


def test_the_worst_case_is_the_and_of_all_adversaries(model, data, threat):
    adversaries = {"up": Far(threat, 0.1), "down": Far(threat, -0.1)}
    report = evaluate(model, data, adversaries)
    assert {report[n].accuracy for n in adversaries} == {31 / 40}
    assert report["worst case"].accuracy == ATTACKED


def comparable(report):
    """Everything that must not depend on how the data came."""
    record = report.to_dict()
    for row in record["rows"]:
        del row["seconds"]
    del record["info"]["started"]
    return json.dumps(record), {
        name: np.asarray(part["point"]).tobytes()
        for name, part in report.images.items()
    }


def test_nothing_depends_on_batches_or_on_how_the_data_comes(
    model, data, threat
):
    x, y = data
    attack = {"pgd": tfr.attacks.PGD(threat, steps=2)}
    dataset = tf.data.Dataset.from_tensor_slices((x, y[:, np.newaxis]))
    whole = comparable(evaluate(model, data, attack))
    for other in (
        evaluate(model, data, attack, batch_size=7),
        evaluate(model, dataset.batch(9), attack),
        evaluate(model, (x.astype(np.float64), y.tolist()), attack),
    ):
        assert comparable(other) == whole


def test_the_diagnostics_see_the_first_examples_in_any_batch_size(
    model, data, pgd, monkeypatch
):
    seen = []

    def diagnose(subject):
        seen.append((subject.x.tobytes(), subject.y.tolist(), subject.standing))
        return []

    monkeypatch.setattr(
        sys.modules["tfrobust.evaluation.evaluate"], "diagnose", diagnose
    )
    few = {"diagnostic_examples": 15, "curve": ()}
    for size in (7, 40):
        evaluate(model, data, {"pgd": pgd}, batch_size=size, **few)
    for x, y, standing in seen:
        assert x == data[0][:15].tobytes()
        assert y == data[1][:15].tolist()
        np.testing.assert_array_equal(standing, np.arange(15) >= 10)


def test_the_curve_starts_clean_falls_and_meets_the_row(model, data, pgd):
    multiples = (1.0, 0.0, 0.5, 2.0)
    report = evaluate(
        model, data, {"pgd": pgd}, diagnostic_examples=30, curve=multiples
    )
    curve = report.curves["pgd"]
    assert curve["epsilon"] == pytest.approx([0.0, 0.05, 0.1, 0.2])
    assert curve["examples"] == 30
    first = report["clean"].correct[:30]
    assert curve["accuracy"][0] == first.mean() == 1.0
    assert curve["accuracy"][2] == report["pgd"].correct[:30].mean()
    assert curve["accuracy"][3] == 0.0
    assert 2 / 3 < curve["accuracy"][1] < 1.0
    assert np.all(np.diff(curve["accuracy"]) < 0)


def test_an_epsilon_for_each_feature_is_evaluated(model, data):
    threat = tfr.threats.Linf(np.array([[0.2, 0, 0.2], [0, 0.2, 0]]))
    report = evaluate(model, data, {"fgsm": tfr.attacks.FGSM(threat)})
    assert report["fgsm"].accuracy == ATTACKED
    assert report["fgsm"].epsilon == pytest.approx(0.2)


def test_missing_diagnostics_make_the_report_unreliable(model, data, pgd):
    report = evaluate(model, data, {"pgd": pgd}, diagnostic_examples=0)
    assert not report.reliable
    assert report.curves == {}
    (reason,) = [r for r in report.reasons if r.startswith("diagnostics")]
    assert "did not run: pass diagnostic_examples=256" in reason


def test_logits_that_are_no_numbers_count_as_wrong_and_are_told(data, pgd):
    def broken(x, training=False):
        margin = tf.reduce_mean(x, axis=[1, 2]) - 0.5
        return tf.stack([-margin, tf.sqrt(margin)], axis=1)

    report = evaluate(broken, data, {"pgd": pgd})
    # A mean below one half has no square root: 18 of the 36.
    assert report["clean"].accuracy == 18 / 40
    assert not report["clean"].finite
    assert any(reason.startswith("finite") for reason in report.reasons)


def test_an_ensemble_has_a_row_for_each_component_on_what_stands(
    model, data, threat, pgd
):
    parts = {"half": Far(threat, -0.1), "pgd": pgd, "last": Far(threat, 0.1)}
    adversaries = {"aa": tfr.attacks.Ensemble(parts)}
    report = evaluate(model, data, adversaries, diagnostic_examples=40)
    rows = {row.name: row for row in report.rows}
    assert [*rows] == [
        "clean",
        "aa: half",
        "aa: pgd",
        "aa: last",
        "aa",
        "worst case",
    ]
    # Moving down fools the 5 of class 1 that are near; PGD the others.
    accuracies = [rows[name].accuracy for name in [*rows][1:]]
    assert accuracies == [31 / 40, *[ATTACKED] * 4]
    assert rows["aa: half"].forwards == 36
    assert rows["aa: pgd"].forwards == 31 * 6
    assert rows["aa: last"].forwards == 26
    assert rows["aa"].forwards == 36 + 31 * 6 + 26
    # The curve is that of the first component, the picture what fooled.
    # It moves as far whatever epsilon is.
    assert set(report.curves["aa"]["accuracy"]) == {31 / 40}
    pictures = report.images["aa"]
    fooled = np.flatnonzero(data[1][:10] == 1)
    moved = pictures["point"][fooled] - data[0][fooled]
    np.testing.assert_allclose(moved, -0.1, atol=1e-6)
    assert (pictures["predicted"] != pictures["label"]).all()


def test_few_classes_are_noted(model, data, threat):
    attack = tfr.attacks.AutoAttack(threat)
    notes = attack.notes(2)
    assert notes
    parts = dict(attack.components(2))
    del parts["square"]
    parts = {name: part.replace(steps=1) for name, part in parts.items()}

    class Short(tfr.attacks.Ensemble):
        def notes(self, classes):
            return attack.notes(classes)

    report = evaluate(model, data, {"aa": Short(parts)})
    noted = [check for check in report.checks if check.name == "aa"]
    assert [check.detail for check in noted] == notes
    assert not any(check.critical for check in noted)


def test_one_proof_is_enough_and_one_refutation_too(model, data, threat):
    class Blind(Exact):
        def margins(self, model, x, y):
            return super().margins(model, x, y) - 9 * (1 - tf.one_hot(y, 2))

    adversaries = {
        "near": Far(threat, 0.05),
        "exact": Exact(threat),
        "blind": Blind(threat),
    }
    report = evaluate(model, data, adversaries)
    assert report["blind"].accuracy < ATTACKED
    assert report["worst case"].accuracy == ATTACKED
    assert not any(reason.startswith("ordered") for reason in report.reasons)
    # A proof of what an attack refutes is an alarm.
    beyond = evaluate(model, data, {**adversaries, "far": Far(threat, -0.2)})
    (reason,) = [r for r in beyond.reasons if r.startswith("ordered")]
    assert "['exact']" in reason


def test_names_of_rows_are_told_apart(model, data, threat):
    fgsm = tfr.attacks.FGSM(threat)
    # Names that the state of a run might use itself.
    names = ("data", "clean/shown", "fgsm x 0.5", "probe", "key")
    report = evaluate(model, data, dict.fromkeys(names, fgsm))
    assert {report[name].accuracy for name in names} == {ATTACKED}
    both = tfr.attacks.Ensemble({"fgsm": fgsm, "far": Far(threat, 0.1)})
    with pytest.raises(ValueError, match=r"Received twice: \['aa: fgsm'\]"):
        evaluate(model, data, {"aa": both, "aa: fgsm": fgsm})


def test_a_name_makes_no_component(model, data, threat, pgd):
    strong = tfr.attacks.FGSM(threat)
    report = evaluate(model, data, {"pgd": pgd, "pgd: strong": strong})
    assert {row.ensemble for row in report.rows} == {None}
    assert "Indented" not in str(report)
    parts = tfr.attacks.Ensemble({"x": pgd, "y": strong})
    rows = evaluate(model, data, {"x": pgd, "aa": parts}).rows
    assert [r.ensemble for r in rows] == [None, None, "aa", "aa", None, None]


def test_a_search_by_queries_is_known_whatever_it_is_called(
    model, data, threat
):
    class Query(tfr.Attack):
        """An attack of the user's whose `repr` begins as that of Square."""

        def __init__(self, threat):
            self.threat = threat

        def _perturb(self, model, x, y, start, step):
            return x + 0.1 + 0 * sum(tf.gradients(model(x), x))

        def __repr__(self):
            return "Square("

    row = evaluate(model, data, Query(threat))["query"]
    assert not row.gradient_free
    search = tfr.attacks.Restart(tfr.attacks.Square(threat, queries=20), 1)
    assert evaluate(model, data, search)["restart"].gradient_free
    parts = {"a": tfr.attacks.FGSM(threat), "b": search}
    report = evaluate(model, data, {"aa": tfr.attacks.Ensemble(parts)})
    free = [row.name for row in report.rows if row.gradient_free]
    assert free == ["aa: b"]


def test_an_ensemble_goes_as_far_as_its_farthest_part(model, data, threat):
    for lengths in ((0.02, 0.05), (0.05, 0.02)):
        parts = [Far(threat, length) for length in lengths]
        report = evaluate(model, data, {"aa": tfr.attacks.Ensemble(parts)})
        assert report["aa"].largest_norm == pytest.approx(0.05, rel=1e-3)


def test_a_tie_counts_for_the_first_class_clean_and_attacked(threat):
    def tied(x, training=False):
        return tf.zeros([tf.shape(x)[0], 2]) * x[:, :1]

    data = np.full((6, 2), 0.5, np.float32), np.arange(6) % 2
    fgsm = tfr.attacks.FGSM(threat)
    pair = tfr.attacks.Ensemble({"a": fgsm, "b": Far(threat, 0.1)})
    report = evaluate(tied, data, {"aa": pair, "exact": Exact(threat)})
    first = [True, False] * 3
    for name in ("clean", "aa: a", "aa: b", "aa"):
        assert report[name].correct.tolist() == first
    # Each part runs on all that still stand.
    assert [report[f"aa: {name}"].forwards for name in "ab"] == [3 * 2, 3]
