"""Randomized smoothing: exact bounds, closed forms, and honest repeats."""

import fractions
import math
import statistics

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.verifiers import binomial

pytestmark = pytest.mark.one_keras

NORMAL = statistics.NormalDist()


def halfspace(x, training=False):
    """Class 1 where the first feature is positive."""
    return tf.stack([-x[:, 0], x[:, 0]], axis=1)


def smoothing(**options):
    options = {"n0": 50, "n": 2000, "alpha": 0.01, **options}
    return tfr.verifiers.RandomizedSmoothing(0.5, **options)


def decide(x, y, model=halfspace, before=None, **options):
    x = np.array(x, np.float32)
    return smoothing(**options).decide(model, x, y, before=before, verbose=0)


@pytest.mark.parametrize(("count", "total"), [(1, 1), (3, 9), (9, 9), (40, 50)])
@pytest.mark.parametrize("alpha", [0.001, 0.05])
def test_the_lower_end_is_exact(count, total, alpha):
    low = float(binomial.lower_bound(np.array([count]), total, alpha)[0])

    def tail(p):
        p = fractions.Fraction(p)
        return sum(
            math.comb(total, k) * p**k * (1 - p) ** (total - k)
            for k in range(count, total + 1)
        )

    assert tail(low) <= alpha < tail(low + 1e-8)


def test_of_large_counts_the_ends_are_closed_forms():
    count = np.array([0, 100_000])
    low = binomial.lower_bound(count, 100_000, 0.001)
    assert low[0] == 0
    assert low[1] == pytest.approx(0.001**1e-5, abs=2e-9)
    # The table of radii: 3.8115 sigma is all that so many draws can show.
    assert NORMAL.inv_cdf(low[1]) == pytest.approx(3.8115, abs=2e-4)


def test_the_radius_of_a_half_space_is_its_distance():
    distances = np.array([0.2, -0.4, 0.7])
    x = np.stack([distances, np.zeros(3)], axis=1)
    found = decide(x, [1, 0, 0], n=20_000, alpha=0.001)
    np.testing.assert_array_equal(found.prediction, [1, 0, 1])
    assert np.all(found.radius <= np.abs(distances))
    assert np.all(found.radius >= 0.85 * np.abs(distances))
    np.testing.assert_array_equal(found.certified(0.15), [True, True, False])
    assert found.accuracy(0.3) == pytest.approx(1 / 3)


def test_certificates_hold_as_often_as_they_say():
    # At distance d the radius exceeds d with probability alpha or less.
    x = np.full((400, 1), 0.3)
    model = lambda x, training=False: tf.concat([-x, x], axis=1)  # noqa: E731
    found = decide(x, np.ones(400, int), model, n=300, alpha=0.1)
    wrong = np.mean(found.radius > 0.3)
    # Binomial, 400 draws of at most 0.1: four deviations.
    assert 0.02 < wrong < 0.1 + 4 * math.sqrt(0.09 / 400)


def test_without_a_majority_it_abstains():
    found = decide([[0.0]], [1], lambda x, training: tf.concat([-x, x], 1))
    assert found.prediction[0] == -1 and found.radius[0] == 0
    assert found.accuracy(0.0) == 0
    answers = smoothing().predict(
        lambda x, training: tf.concat([-x, x], 1),
        np.array([[0.0], [0.4], [-0.4]], np.float32),
    )
    np.testing.assert_array_equal(answers, [-1, 1, 0])


def test_answers_that_are_no_numbers_count_for_none():
    def broken(x, training=False):
        return tf.where(x[:, :1] > 0, tf.concat([-x, x], 1), math.nan)

    found = decide([[0.3]], [1], broken)
    right = decide([[0.3]], [1], lambda x, training: tf.concat([-x, x], 1))
    assert found.counts[0] == right.counts[0]
    nothing = decide([[0.3]], [1], lambda x, training: 0 * x / 0 * [[1.0, 2.0]])
    assert nothing.prediction[0] == -1


def test_counts_go_on_from_where_they_were():
    x, y = [[0.3, 0.0], [0.1, 0.0]], [1, 1]
    whole = decide(x, y, n=3000)
    first = decide(x, y, n=1000)
    second = decide(x, y, before=first, n=3000)
    np.testing.assert_array_equal(second.counts, whole.counts)
    np.testing.assert_array_equal(second.chosen, whole.chosen)
    assert whole.alpha == first.alpha == 0.01
    # Looking twice costs certainty, and the second radius is the smaller one.
    assert second.alpha == pytest.approx(0.015)
    assert np.all(second.radius < whole.radius)
    third = decide(x, y, before=second, n=3001)
    assert third.alpha == pytest.approx(0.0175)


def test_fresh_draws_are_counted():
    # Of 50 draws that choose, the same 50 count if they aren't fresh.
    x = np.zeros((40, 1))
    model = lambda x, training=False: tf.concat([-x, x], axis=1)  # noqa: E731
    found = decide(x, np.zeros(40, int), model, n0=50, n=50)
    # The class was chosen since it had most; of fresh draws it has half.
    assert 22 < np.mean(found.counts) < 26.5


def test_noise_is_the_same_alone_and_not_clipped():
    seen = []

    def model(x, training=False):
        if tf.executing_eagerly():
            seen.append(x)
        assert not training
        return tf.stack([-x[:, 0], x[:, 0]], axis=1)

    x = np.array([[0.1, 0.5], [0.2, 0.5], [0.3, 0.5]], np.float32)
    both = smoothing().decide(model, x, [1, 1, 1], verbose=0)
    alone = smoothing().decide(model, x[2:], [1], index=[2], verbose=0)
    assert alone.counts[0] == both.counts[2]
    other = smoothing(seed=1).decide(model, x, [1, 1, 1], verbose=0)
    assert np.any(other.counts != both.counts)


def test_what_was_found_is_saved_and_said(tmp_path):
    found = decide([[0.6, 0.0], [0.6, 0.0]], [1, 0])
    found.save(tmp_path / "found.npz")
    loaded = tfr.verifiers.Smoothed.load(tmp_path / "found.npz")
    for name, value in vars(found).items():
        np.testing.assert_array_equal(getattr(loaded, name), value)
    assert "probability 0.99 or more" in str(found)
    assert "all of them together with 0.98" in str(found)
    with pytest.raises(FileExistsError, match="kept as it is"):
        found.save(tmp_path / "found.npz")


def test_a_radius_out_of_reach_is_refused():
    found = decide([[5.0, 0.0]], [1])
    assert found.radius[0] == found.reach < 1.5
    with pytest.raises(ValueError, match=r"`epsilon` must be at most 1\.4"):
        found.certified(2.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 6}, "`n` must be at least 7"),
        ({"alpha": 0.0}, "`alpha` must be between 0 and 1"),
        ({"n0": 0}, "`n0` must be at least 1"),
        ({"seed": -1}, "`seed` must be an integer from 0"),
    ],
)
def test_settings_that_certify_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        smoothing(**options)


def test_examples_that_do_not_fit_are_refused():
    x = np.zeros((2, 3), np.float32)
    run = smoothing()
    with pytest.raises(ValueError, match="`y` must hold an integer class"):
        run.decide(halfspace, x, [0], verbose=0)
    with pytest.raises(ValueError, match="`index` must hold 2 different"):
        run.decide(halfspace, x, [0, 1], index=[1, 1], verbose=0)
    first = run.decide(halfspace, x, [0, 1], verbose=0)
    with pytest.raises(ValueError, match="fewer draws than 2000"):
        run.decide(halfspace, x, [0, 1], before=first, verbose=0)
    with pytest.raises(ValueError, match="same examples"):
        run.decide(halfspace, x, [1, 1], before=first, verbose=0)


@pytest.mark.parametrize("width", [1, (1, 2)])
def test_without_two_logits_there_are_no_classes_to_count(width):
    def model(x, training=False):
        return tf.reshape(x, [-1, *np.ravel(width)])

    x = np.ones((2, np.prod(width)), np.float32)
    message = r"at least 2 classes. Received shape \(.*tfr.logits_of"
    with pytest.raises(ValueError, match=message):
        smoothing().decide(model, x, [0, 0], verbose=0)
    with pytest.raises(ValueError, match=message):
        smoothing().predict(model, x)


@pytest.mark.parametrize("label", [-1, 2, np.uint64(2**32 + 1)])
def test_a_label_that_is_no_class_is_refused(label):
    # -1 is what an abstention is marked with, and would be right.
    with pytest.raises(ValueError, match="whole class labels from 0 to 1. Rec"):
        decide([[0.0, 0.0]], np.array([label]))


def test_it_is_taken_for_no_proof():
    with pytest.raises(TypeError, match="Received: RandomizedSmoothing"):
        tfr.certify(halfspace, (np.zeros((1, 2)), [0]), smoothing())
