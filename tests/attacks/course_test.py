import numpy as np
import pytest

from tfrobust.attacks.course import Course
from tfrobust.attacks.momentum_rule import MomentumRule
from tfrobust.attacks.sparse_rule import SparseRule


def test_checkpoints_are_those_of_the_paper():
    course = Course.plan(MomentumRule, 100, 0.75, several=False)
    # p(j + 1) = p(j) + max(p(j) - p(j - 1) - 0.03, 0.06), from 0 and 0.22.
    checkpoints = [22, 41, 57, 70, 80, 87, 93, 99]
    np.testing.assert_array_equal(
        np.flatnonzero(course.rises >= 0), checkpoints
    )
    expected = 0.75 * np.diff([0, *checkpoints])
    np.testing.assert_allclose(course.rises[checkpoints], expected)
    assert np.all(course.factor == 1) and not course.several
    np.testing.assert_array_equal(np.flatnonzero(course.first), [0])


def test_a_run_in_three_balls_spends_three_tenths_in_each_larger_one():
    course = Course.plan(SparseRule, 100, 0.75, several=True)
    np.testing.assert_array_equal(course.factor, [3] * 30 + [2] * 30 + [1] * 40)
    np.testing.assert_array_equal(np.flatnonzero(course.first), [0, 30, 60])
    assert course.several


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_too_few_steps_for_larger_balls_are_spent_in_the_threat(steps):
    course = Course.plan(SparseRule, steps, 0.75, several=True)
    np.testing.assert_array_equal(course.factor, np.ones(steps))
    assert not course.several
