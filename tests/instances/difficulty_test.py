"""Ranks of instances against a count by hand."""

import numpy as np
import pytest
import scipy.stats

import tfrobust as tfr
from tfrobust.instances import (
    difficulty,
    groups,
    percentiles,
    rank_correlation,
    subset,
)
from tfrobust.objectives import Recorded

RNG = np.random.default_rng(0)
LOSSES = np.round(RNG.normal(size=60), 1)  # With ties.


def test_a_percentile_is_the_chance_of_a_harder_one_and_half_of_a_tie():
    found = percentiles(LOSSES)
    for loss, rank in zip(LOSSES, found, strict=True):
        expected = np.mean(loss < LOSSES) + np.mean(loss == LOSSES) / 2
        assert rank == pytest.approx(expected)
    assert np.mean(found) == pytest.approx(0.5, abs=1e-15)
    assert np.argmin(found) == np.argmax(LOSSES)
    assert percentiles(np.ones(7)).tolist() == [0.5] * 7


def test_ranks_go_with_the_instances():
    order = RNG.permutation(60)
    np.testing.assert_array_equal(
        percentiles(LOSSES[order]), percentiles(LOSSES)[order]
    )


def test_groups_are_tenths():
    found = groups(percentiles(np.arange(40.0)))
    np.testing.assert_array_equal(np.bincount(found), np.full(10, 4))
    assert found[0] == 9 and found[-1] == 0


@pytest.mark.parametrize("kind", ["easy", "hard", "random"])
def test_subsets_are_balanced(kind):
    labels = np.arange(60) % 3
    rank = percentiles(LOSSES)
    chosen = subset(rank, labels, 12, kind, seed=1)
    assert np.all(np.diff(chosen) > 0)
    np.testing.assert_array_equal(np.bincount(labels[chosen]), [4, 4, 4])
    left = np.setdiff1d(np.arange(60), chosen)
    for label in range(3):
        inside = rank[chosen[labels[chosen] == label]]
        outside = rank[left[labels[left] == label]]
        if kind == "easy":
            assert np.min(inside) >= np.max(outside)
        if kind == "hard":
            assert np.max(inside) <= np.min(outside)
    if kind == "random":
        assert np.any(subset(rank, labels, 12, kind, seed=2) != chosen)


def test_the_rank_correlation_is_that_of_scipy():
    other = np.round(LOSSES + RNG.normal(size=60), 1)
    expected = scipy.stats.spearmanr(LOSSES, other).statistic
    assert rank_correlation(LOSSES, other) == pytest.approx(expected)
    assert rank_correlation(LOSSES, -LOSSES) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: percentiles([[1.0]]), "`losses` must be finite numbers"),
        (lambda: percentiles([np.nan]), "`losses` must be finite numbers"),
        (lambda: groups([0.5], 0), "`count` must be at least 1"),
        (lambda: subset([0.5, 0.2], [0, 1], 3), "multiple of the number"),
        (lambda: subset([0.5, 0.2], [0, 1], 4), "multiple of the number"),
        (lambda: subset([0.5, 0.2], [0, 1], 2, "soft"), "`kind` must be"),
        (lambda: rank_correlation([1, 2], [1, 2, 3]), "the same instances"),
        (lambda: rank_correlation([1, 1], [1, 2]), "the same instances"),
    ],
)
def test_arguments_are_checked(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_trained_model_tells_who_is_hard(problem):
    recorded = Recorded(tfr.objectives.Clean(), skip=1)
    model = problem.model(objective=recorded)
    losses = []
    for _ in range(3):
        logits = model.predict(problem.x, verbose=0)
        losses.append(tfr.losses.cross_entropy(problem.y, logits).numpy())
        model.fit(problem.indexed, problem.y, batch_size=10, verbose=0)
    last, mean = losses[-1], np.mean(losses[1:], axis=0)
    np.testing.assert_allclose(
        model.memory.values("recorded_loss"), problem.in_order(last), rtol=1e-5
    )
    np.testing.assert_array_equal(
        difficulty(model), percentiles(problem.in_order(mean))
    )
    np.testing.assert_array_equal(
        difficulty(model, by="last"), percentiles(problem.in_order(last))
    )
    right = difficulty(model, by="correct")
    correct = model.memory.values("correct_sum")
    assert right[np.argmin(correct)] < right[np.argmax(correct)]
    probabilities = np.exp(logits - np.max(logits, axis=1, keepdims=True))
    probabilities /= np.sum(probabilities, axis=1, keepdims=True)
    entropy = -np.sum(probabilities * np.log(probabilities), axis=1)
    found = model.memory.values("recorded_entropy")
    np.testing.assert_allclose(found, problem.in_order(entropy), rtol=1e-5)
    with pytest.raises(ValueError, match="`by` must be one of loss"):
        difficulty(model, by="size")


def test_what_wasnt_recorded_is_not_ranked(problem):
    with pytest.raises(ValueError, match="holds None|hold what is asked"):
        difficulty(problem.model())
    recorded = Recorded(tfr.objectives.Clean(), skip=5)
    model = problem.model(objective=recorded)
    model.fit(problem.indexed, problem.y, verbose=0)
    with pytest.raises(ValueError, match="10 of 10 that weren't"):
        difficulty(model)
