import json
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras

CLEAN, ATTACKED = 36 / 40, 26 / 40


def evaluate(model, data, adversaries, **options):
    """Without the diagnostics, unless asked for."""
    options = {"diagnostic_examples": 0, "verbose": 0, **options}
    return tfr.evaluate(model, data, adversaries, **options)


@pytest.fixture
def pgd(threat):
    return tfr.attacks.PGD(threat, steps=4, step_size=0.5)


class Far(tfr.Attack):
    """Moves every feature by `length`, whatever the threat allows."""

    def __init__(self, threat, length):
        self.threat, self.length = threat, length

    def _perturb(self, model, x, y):
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
    assert passes == {
        "clean": (40, 0),
        "fgsm": (40 * 2, 40),
        "pgd": (40 * 6, 40 * 4),
        "last": (40 * 5, 40 * 4),
        "restarts": (40 * (3 * 5 + 1), 40 * 12),
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


def network():
    layers = [keras.Input((2, 3)), keras.layers.Flatten()]
    return keras.Sequential([*layers, keras.layers.Dense(2)])


def verdicts(report):
    return {row.name: row.correct.tolist() for row in report.rows}


def test_keras_models_functions_and_saved_models_are_evaluated_alike(
    data, pgd, tmp_path
):
    model = network()
    path = tfr.export(model, tmp_path)
    loaded = tf.saved_model.load(str(path))

    def served(x, training=False):
        return loaded.signatures["serving_default"](image=x)["logits"]

    reports = [
        evaluate(candidate, data, {"pgd": pgd})
        for candidate in (model, tfr.RobustModel(model), served)
    ]
    first = verdicts(reports[0])
    assert 0 < reports[0]["clean"].accuracy < 1
    assert all(verdicts(report) == first for report in reports)
    hashes = [report.info["weights_sha256"] for report in reports]
    assert hashes[0] == hashes[1]
    assert hashes[2] is None


def test_a_robust_model_is_evaluated_with_its_averaged_weights(data, pgd):
    model = tfr.RobustModel(network())
    model.compile(keras.optimizers.SGD(5.0, use_ema=True, ema_momentum=0.9))
    model.train_on_batch(*data)
    model.train_on_batch(*data)
    weights = model.get_weights()
    raw = evaluate(model.network, data, {"pgd": pgd})
    with model.averaged():
        expected = evaluate(model.network, data, {"pgd": pgd})
    report = evaluate(model, data, {"pgd": pgd})
    for one, other in ((report, expected), (report, raw)):
        same = one.info["weights_sha256"] == other.info["weights_sha256"]
        assert same == (other is expected)
    assert verdicts(report) == verdicts(expected)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_hashes_change_with_the_weights_and_with_the_data(data, pgd):
    model, (x, y) = network(), data

    def hashes(x, y):
        info = evaluate(model, (x, y), {"pgd": pgd}).info
        return info["weights_sha256"], info["data_sha256"]

    first = hashes(x, y)
    moved, relabelled = x.copy(), y.copy()
    moved[3, 1, 1] += 1e-3
    relabelled[3] = 1 - relabelled[3]
    others = [hashes(moved, y), hashes(x, relabelled), hashes(x[::-1], y)]
    assert {weights for weights, _ in others} == {first[0]}
    assert len({first[1], *(found for _, found in others)}) == 4
    model.set_weights([w + 1e-3 for w in model.get_weights()])
    weights, found = hashes(x, y)
    assert weights != first[0]
    assert found == first[1]


def test_missing_diagnostics_make_the_report_unreliable(model, data, pgd):
    report = evaluate(model, data, {"pgd": pgd}, diagnostic_examples=0)
    assert not report.reliable
    assert report.curves == {}
    (reason,) = report.reasons
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


RAMP = tfr.schedules.Ramp(0.0, 0.1, end=10)


@pytest.mark.parametrize(
    "change, error, sentence",
    [
        (lambda x, y: (x * 255, y), ValueError, "valid range .*x / 255.0"),
        (lambda x, y: (x * np.nan, y), ValueError, "hold no NaN"),
        (lambda x, y: (x > 0, y), ValueError, "must be floating point"),
        (lambda x, y: (x, np.eye(2)[y]), ValueError, "one-hot.*argmax"),
        (lambda x, y: (x, y + 1), ValueError, "class labels from 0 to 1.*2"),
        (lambda x, y: (x, y - 1), ValueError, "class labels from 0 to 1.*-1"),
        (lambda x, y: (x, y + 0.5), ValueError, "whole class labels"),
        (lambda x, y: (x, y[:-1]), ValueError, "40 inputs and 39 labels"),
        (lambda x, y: (x[:0], y[:0]), ValueError, "at least one example"),
    ],
)
def test_data_that_cannot_be_meant_is_refused(
    model, data, pgd, change, error, sentence
):
    with pytest.raises(error, match=sentence):
        evaluate(model, change(*data), {"pgd": pgd})


def test_a_dataset_without_batches_or_examples_is_refused(model, data, pgd):
    dataset = tf.data.Dataset.from_tensor_slices(data)
    with pytest.raises(ValueError, match=r"dataset\.batch"):
        evaluate(model, dataset, {"pgd": pgd})
    with pytest.raises(ValueError, match="at least one example"):
        evaluate(model, dataset.take(0).batch(8), {"pgd": pgd})


@pytest.mark.parametrize(
    "adversaries, error, sentence",
    [
        (lambda t: {}, ValueError, "at least one adversary"),
        (lambda t: {"pgd": t}, TypeError, "must map names to adversaries"),
        (lambda t: {"clean": tfr.attacks.FGSM(t)}, ValueError, "name 'clean'"),
        (
            lambda t: {"pgd": tfr.attacks.PGD(t.replace(epsilon=RAMP))},
            ValueError,
            "schedule for .*threat.epsilon.*Pass a number",
        ),
        (
            lambda t: {"pgd": tfr.attacks.PGD(t, targeted=True)},
            ValueError,
            "targeted attack needs target classes",
        ),
        (
            lambda t: {"pgd": tfr.attacks.PGD(tfr.threats.Linf([0.1, 0.2]))},
            ValueError,
            "does not depend on the example.*2 examples",
        ),
    ],
)
def test_adversaries_that_cannot_be_evaluated_are_refused(
    model, data, threat, adversaries, error, sentence
):
    with pytest.raises(error, match=sentence):
        evaluate(model, data, adversaries(threat))
