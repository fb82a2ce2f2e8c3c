"""Reports on the shards of a dataset, put together."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from tfrobust.evaluation import diagnostics
from tfrobust.evaluation.report import Report
from tfrobust.evaluation.usefulness import of_answers


def shards(count: int, size: int, first: int = 0) -> list[tuple[int, int]]:
    """Parts of so many examples, as pairs of their first and last plus one.

    Args:
        count: Number of examples.
        size: How many a shard holds; the last may hold fewer.
        first: How many the first shard holds at least, in whole sizes.
    """
    first = max(1, -(-first // size)) * size
    edges = [0, *range(first, count, size), count]
    return list(zip(edges[:-1], edges[1:], strict=True))


def collected(
    results: Iterable[tuple[int, Report]], count: int
) -> list[Report]:
    """The reports in the order of their shards, each once.

    A shard that ran twice, since its worker seemed dead, is taken once.

    Args:
        results: Pairs of a shard's number and its `Report`.
        count: Number of shards.

    Raises:
        RuntimeError: If a shard is missing.
    """
    found: dict[int, Report] = {}
    for number, report in results:
        found.setdefault(number, report)
    missing = [number for number in range(count) if number not in found]
    if missing:
        raise RuntimeError(
            f"All {count} shards must come back. Missing: {missing}. Run "
            "again, with the same `state` to keep what was done."
        )
    return [found[number] for number in range(count)]


def merged(reports: Sequence[Report]) -> Report:
    """Returns the `Report` on all shards, as one process would write it.

    The verdicts of an example depend on nothing but the example, so that they
    are put one after the other, and what follows from them is computed again.
    Curves, pictures and diagnostics are those of the first shard.

    Args:
        reports: List of `Report`, in the order of the shards.

    Raises:
        ValueError: If there is none, or they are not on one model, one
            dataset and the same adversaries.
    """
    _check(reports)
    first = reports[0]
    columns = zip(*(report.rows for report in reports), strict=True)
    rows = [_row(parts) for parts in columns]
    certificates = {
        name: [value for r in reports for value in r.certificates[name]]
        for name in first.certificates
    }
    classes = {
        name: np.sum([r.classes[name] for r in reports], axis=0).tolist()
        for name in first.classes
    }
    known = _of_all(rows, classes, certificates)
    known = diagnostics.of_first(known, len(rows[0].correct))
    checks = [*known, *_found(reports, len(known))]
    info = _info([report.info for report in reports])
    return Report(
        rows,
        first.curves,
        checks,
        first.images,
        info,
        certificates,
        classes,
        _answers([report.answers for report in reports]),
    )


def _answers(parts):
    """Labels and answers, one shard's after the other's; or of none."""
    if not all(parts):
        return {}
    return {
        "label": [label for part in parts for label in part["label"]],
        "predicted": {
            name: [p for part in parts for p in part["predicted"][name]]
            for name in parts[0]["predicted"]
        },
    }


def _of_all(rows, classes, certificates):
    """The checks that follow from what all shards found."""
    found = [] if certificates else diagnostics.of_rows(rows)
    return found + (of_answers(rows[0], classes) if classes else [])


def _row(parts):
    return dataclasses.replace(
        parts[0],
        correct=np.concatenate([row.correct for row in parts]),
        largest_norm=float(np.max([row.largest_norm for row in parts])),
        inside=all(row.inside for row in parts),
        finite=all(row.finite for row in parts),
        forwards=sum(row.forwards for row in parts),
        backwards=sum(row.backwards for row in parts),
        seconds=sum(row.seconds for row in parts),
    )


def _found(reports, known):
    """What else the first shard found, and what failed on others.

    Args:
        reports: Those on all shards.
        known: How many checks come first, and are known of all.
    """
    first, *others = (report.checks[known:] for report in reports)
    if reports[0].certificates:
        return [_proof(checks) for checks in zip(first, *others, strict=True)]
    failed = [
        check
        for checks in others
        for check in checks
        if check.state == "FAILED" and check != diagnostics.NOT_RUN
    ]
    return [*first, *failed]


def _proof(checks):
    """A check of certificates: failed if that of one shard is."""
    failed = [check for check in checks if not check.passed]
    details = dict.fromkeys(check.detail for check in failed)
    detail = " ".join(details) if failed else checks[0].detail
    counts = [check.examples for check in checks]
    total = None if None in counts else sum(counts)
    return checks[0]._replace(passed=not failed, detail=detail, examples=total)


def _info(parts):
    """What all say; where they differ, a list of what they say."""
    found = {}
    for key in parts[0]:
        values = []
        for part in parts:
            values += [] if part[key] in values else [part[key]]
        found[key] = values[0] if len(values) == 1 else values
    if "adversaries" in found:
        # They are the same; what is written of a function may differ.
        found["adversaries"] = parts[0]["adversaries"]
    found["examples"] = sum(part["examples"] for part in parts)
    found["started"] = min(part["started"] for part in parts)
    if len(parts) > 1:
        # The hash of a whole does not follow from those of its parts.
        found["data_sha256"] = None
    return found


def _check(reports):
    if not reports:
        raise ValueError("`reports` must hold at least one report.")
    for report in reports:
        here, there = _identity(report), _identity(reports[0])
        for what, value in here.items():
            if value != there[what]:
                raise ValueError(
                    "`reports` must be on one model, one dataset and the same "
                    f"adversaries. Received: {what} {there[what]} and {value}."
                )


def _identity(report):
    """What the reports on all shards share."""
    return {
        "dataset": report.info["dataset"],
        "weights": report.info["weights_sha256"],
        "epsilon": [row.epsilon for row in report.rows],
        "adversaries": [_adversary(row) for row in report.rows],
        "certificates": list(report.certificates),
    }


def _adversary(row):
    """The name of a row, and what no other adversary shares."""
    if row.adversary and row.identity is None:
        raise ValueError(
            "`reports` must be on adversaries that can be told from others. "
            f"Received: {row.name!r}, {row.adversary}."
        )
    return row.name, row.identity
