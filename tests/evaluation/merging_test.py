import dataclasses
import sys

import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.evaluation import Check, Report, diagnostics
from tfrobust.evaluation.merging import collected, merged, shards

pytestmark = pytest.mark.keras_free

FOUND = Check("converged", True, "Fine.")


def timeless(report):
    """What must not depend on how the work was shared."""
    record = report.to_dict()
    for row in record["rows"]:
        del row["seconds"]
    times = ("started", "data_sha256")
    kept = {k: v for k, v in record["info"].items() if k not in times}
    return {**record, "info": kept}


def loaded(report):
    """As it comes back from another machine."""
    return Report.from_dict(report.to_dict())


@pytest.mark.parametrize(
    "count, size, first, expected",
    [
        (10, 4, 0, [(0, 4), (4, 8), (8, 10)]),
        (8, 4, 0, [(0, 4), (4, 8)]),
        (3, 4, 0, [(0, 3)]),
        # The first holds the diagnostics' examples, in whole batches.
        (20, 4, 6, [(0, 8), (8, 12), (12, 16), (16, 20)]),
        (5, 4, 100, [(0, 5)]),
    ],
)
def test_shards_part_the_examples(count, size, first, expected):
    assert shards(count, size, first) == expected


def test_shards_that_came_twice_are_taken_once_and_in_order():
    assert collected([(1, "b"), (0, "a"), (1, "again")], 2) == ["a", "b"]
    with pytest.raises(RuntimeError, match=r"All 3 shards.*Missing: \[0, 2\]"):
        collected([(1, "b")], 3)


def test_a_merged_evaluation_is_that_of_one_process(
    model, data, threat, pgd, monkeypatch
):
    monkeypatch.setattr(
        sys.modules["tfrobust.evaluation.evaluate"],
        "diagnose",
        lambda subject: [FOUND],
    )
    ensemble = tfr.attacks.Ensemble([tfr.attacks.FGSM(threat), pgd])

    def evaluate(begin, end, count):
        return tfr.evaluate(
            model,
            (data[0][begin:end], data[1][begin:end]),
            {"both": ensemble},
            batch_size=8,
            curve=(0.5, 1.0),
            diagnostic_examples=count,
            verbose=0,
        )

    # All 36 that are right clean, and the four that aren't.
    edges = shards(40, 16, first=20)
    assert edges == [(0, 32), (32, 40)]
    whole = evaluate(0, 40, 20)
    parts = [evaluate(*edges[0], 20), evaluate(*edges[1], 0)]
    found = merged([loaded(part) for part in parts])
    assert timeless(found) == timeless(whole)
    assert found.info["data_sha256"] is None
    assert merged(parts).images is parts[0].images
    assert merged([whole]).to_dict() == whole.to_dict()
    # The largest is that of the whole, wherever it is.
    for number in range(len(parts)):
        far = [loaded(one) for one in parts]
        far[number].rows[1].largest_norm = 0.25
        assert merged(far).rows[1].largest_norm == 0.25
        far[number].rows[1].finite = False
        assert not merged(far).rows[1].finite
    # What is wrong with one shard is wrong with the whole.
    bad = loaded(parts[1])
    bad.rows[1].inside = False
    bad.checks.append(Check("unbounded", False, "Masked."))
    reasons = merged([parts[0], bad]).reasons
    assert [reason.split(":")[0] for reason in reasons] == [
        "in_threat",
        "enough_examples",
        "unbounded",
    ]
    others = merged(parts[1:])
    assert [c for c in others.checks if c == diagnostics.NOT_RUN]


def test_a_merged_certification_is_that_of_one_process(pgd):
    weights = np.array([[-1.0, 1.0], [0.5, -0.5]], np.float32)

    def linear(x, training=False):
        return x @ weights

    rng = np.random.default_rng(0)
    x = rng.uniform(size=(12, 2)).astype(np.float32)
    y = np.argmax(linear(x), axis=1)
    y[3] = 1 - y[3]

    def certify(begin, end):
        part = x[begin:end], y[begin:end]
        verifier = tfr.verifiers.IBP(pgd.threat)
        return tfr.certify(linear, part, verifier, pgd, verbose=0)

    whole = certify(0, 12)
    parts = [loaded(certify(*edges)) for edges in shards(12, 6)]
    assert timeless(merged(parts)) == timeless(whole)
    assert len(set(whole.certificates["verdict"])) > 1
    at = [check.name for check in parts[1].checks].index("in_threat")
    parts[1].checks[at] = Check("in_threat", False, "2 points lie outside.")
    assert "in_threat: 2 points lie outside." in merged(parts).reasons


def small():
    row = tfr.evaluation.Row(
        "clean", np.ones(2, bool), "PGD(f at 0x7f00)", identity="a"
    )
    info = {"dataset": "digits", "weights_sha256": "a", "data_sha256": "c"}
    info |= {"examples": 2, "started": "2024-01-02", "machine": "x86"}
    worst = dataclasses.replace(row, name="worst case")
    return Report([row, worst], {}, [], {}, info)


def test_what_differs_among_the_machines_is_listed():
    other = small()
    other.info |= {"started": "2024-01-01", "machine": "arm"}
    other.rows[0].adversary = "PGD(f at 0x7fff)"
    info = merged([small(), other, small()]).info
    assert info["machine"] == ["x86", "arm"]
    assert info["started"] == "2024-01-01"
    assert info["examples"] == 6


@pytest.mark.parametrize(
    "what, change",
    [
        ("dataset", lambda r: r.info.update(dataset="mnist")),
        ("weights", lambda r: r.info.update(weights_sha256="b")),
        ("epsilon", lambda r: setattr(r.rows[1], "epsilon", 0.2)),
        ("adversaries", lambda r: setattr(r.rows[0], "identity", "b")),
        ("adversaries", lambda r: setattr(r.rows[0], "name", "pgd")),
        ("certificates", lambda r: r.certificates.update(verdict=[])),
    ],
)
def test_reports_on_different_problems_are_not_merged(what, change):
    other = small()
    change(other)
    with pytest.raises(ValueError, match=f"same adversaries.*: {what} "):
        merged([small(), other])


def test_there_must_be_a_report_to_merge():
    with pytest.raises(ValueError, match="at least one report"):
        merged([])


def test_reports_on_adversaries_of_which_nothing_is_known_are_not_merged():
    parts = [small(), small()]
    for part in parts:
        part.rows[0].identity = None
    with pytest.raises(ValueError, match="told from others.*'clean'"):
        merged(parts)
