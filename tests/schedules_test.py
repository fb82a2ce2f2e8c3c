import json
import math

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import schedules
from tfrobust.backend import keras

PERIODS = [10, 30, 70]


def values(schedule, steps):
    return [float(schedule(step)) for step in steps]


@pytest.mark.parametrize(
    ("schedule", "steps", "expected"),
    [
        (
            schedules.Ramp(0.1, 0.5, 10, end=30),
            [0, 10, 15, 30, 99],
            [0.1, 0.1, 0.2, 0.5, 0.5],
        ),
        (
            schedules.SmoothRamp(0.0, 1.0, 10, end=30),
            [0, 10, 30, 99],
            [0.0, 0.0, 1.0, 1.0],
        ),
        (
            schedules.PeriodicLinear(0.2, 0.6, PERIODS),
            [0, 10, 20, 30, 50, 70, 99],
            [0.2, 0.2, 0.4, 0.2, 0.4, 0.6, 0.6],
        ),
        (
            schedules.PeriodicCosine(0.0, 0.6, PERIODS, high=0.4),
            [0, 10, 20, 22, 30, 50, 70, 99],
            [0.0, 0.0, 0.3, 0.3 - 0.3 * math.cos(0.6 * math.pi)]
            + [0.0, 0.3, 0.4, 0.4],
        ),
        (
            schedules.PeriodicExponential(0.1, 0.01, PERIODS, low=0.002),
            [0, 10, 20, 30, 50, 70],
            [0.1, 0.1, 0.01, 0.1, 0.01, 0.002],
        ),
        (
            schedules.PeriodicDrops(1.0, 0.1, [0.5, 1.0], PERIODS),
            [0, 10, 19, 20, 29, 30, 50, 70, 99],
            [1.0, 1.0, 1.0, 0.1, 0.1, 1.0, 0.1, 0.01, 0.01],
        ),
        (
            schedules.PiecewiseLinear([0, 40, 80, 100], [0, 0.1, 0.005, 0]),
            [0, 20, 40, 60, 80, 90, 100, 120],
            [0.0, 0.05, 0.1, 0.0525, 0.005, 0.0025, 0.0, 0.0],
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_schedule_has_its_closed_form_at_every_boundary(
    schedule, steps, expected
):
    np.testing.assert_allclose(values(schedule, steps), expected, atol=1e-7)


def test_piecewise_linear_is_exact_at_its_knots():
    schedule = schedules.PiecewiseLinear([0, 40, 80, 100], [0, 0.1, 0.005, 0])
    assert values(schedule, [0, 100, 101]) == [0.0, 0.0, 0.0]


def test_a_cosine_towards_three_halves_of_the_target_reaches_it_at_0_608():
    schedule = schedules.PeriodicCosine(0.0, 0.6, [0, 1000], high=0.4)
    reached = [float(schedule(step)) >= 0.4 for step in range(600, 620)]
    assert 600 + reached.index(True) == 609
    assert math.acos(-1 / 3) / math.pi == pytest.approx(0.608, abs=5e-4)


@pytest.mark.parametrize(("bend", "exponent"), [(0.25, 4.0), (0.7, 2.0)])
def test_a_smooth_ramp_joins_its_curve_and_its_line_in_value_and_slope(
    bend, exponent
):
    schedule = schedules.SmoothRamp(
        0.0, 1.0, end=100_000, bend=bend, exponent=exponent
    )
    joint, width = int(bend * 100_000), 500
    before, at, after = values(schedule, [joint - width, joint, joint + width])
    line = 1 / (bend / exponent + 1 - bend)
    assert at == pytest.approx(1 - line * (1 - bend), abs=1e-6)
    assert (after - at) / (width / 1e5) == pytest.approx(line, rel=1e-3)
    assert (at - before) / (width / 1e5) == pytest.approx(line, rel=0.03)
    quarter = at * 0.5**exponent
    assert float(schedule(joint // 2)) == pytest.approx(quarter, rel=1e-4)


def test_a_schedule_reads_the_step_of_an_optimizer_inside_a_graph():
    schedule = schedules.PeriodicLinear(0.2, 0.6, PERIODS)
    step = keras.optimizers.SGD().iterations
    step.assign(20)
    assert float(tf.function(lambda: schedule(step))()) == pytest.approx(0.4)


def test_a_schedule_drives_a_keras_optimizer():
    layer = keras.layers.Dense(1, kernel_initializer="zeros", use_bias=False)
    layer.build((None, 1))
    optimizer = keras.optimizers.SGD(schedules.Ramp(1.0, 0.0, end=4))
    optimizer.build(layer.trainable_variables)
    optimizer.iterations.assign(3)
    optimizer.apply_gradients([(tf.ones([1, 1]), layer.trainable_variables[0])])
    np.testing.assert_allclose(layer.get_weights()[0], [[-0.25]])


def test_periods_without_clips_survive_json():
    config = schedules.PeriodicLinear(0.2, 0.6, PERIODS).get_config()
    config = json.loads(json.dumps(config))
    copy = schedules.PeriodicLinear.from_config(config)
    assert (copy.low, copy.high) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: schedules.Ramp(0, 1, 5, end=5), "begin, end.*increasing"),
        (lambda: schedules.SmoothRamp(0, 1, 9, end=5), "increasing.*9, 5"),
        (lambda: schedules.SmoothRamp(0, 1, end=5, bend=1.0), "`bend`.*1.0"),
        (
            lambda: schedules.SmoothRamp(0, 1, end=5, exponent=0.5),
            "`exponent` must be at least 1.*0.5",
        ),
        (lambda: schedules.PeriodicLinear(0, 1, [5]), "two increasing"),
        (
            lambda: schedules.PeriodicCosine(0, 1, [0, 9, 3]),
            "`boundaries`.*increasing.*0, 9, 3",
        ),
        (
            lambda: schedules.PeriodicLinear(0, 1, [0, 9], 0.5, 0.1),
            "`low` must not exceed `high`.*0.5 > 0.1",
        ),
        (
            lambda: schedules.PeriodicExponential(1, 0.0, [0, 9]),
            "`power` must be positive.*0.0",
        ),
        (
            lambda: schedules.PeriodicDrops(1, 0.1, [0.5, 1.5], [0, 9]),
            "`drops` must lie in",
        ),
        (lambda: schedules.Ramp(math.nan, 1, end=5), "`initial` must.*nan"),
        (lambda: schedules.Ramp(0, "1", end=5), "`final` must.*'1'"),
        (lambda: schedules.Ramp(0, 1, math.nan, end=5), "increasing.*nan"),
        (lambda: schedules.Ramp(0, 1, end=math.inf), "increasing.*inf"),
        (
            lambda: schedules.PeriodicLinear(0, 1, [0, 9], math.nan),
            "`low` must not exceed",
        ),
        (
            lambda: schedules.PeriodicExponential(1, math.nan, [0, 9]),
            "`power` must be positive and finite.*nan",
        ),
        (
            lambda: schedules.PiecewiseLinear([0, 5], [1.0, math.inf]),
            "`values` must be finite.*inf",
        ),
        (
            lambda: schedules.Ramp(0, 1, end=5).replace(begin=5),
            "begin, end.*increasing",
        ),
        (
            lambda: schedules.PiecewiseLinear([0, 5], [1.0]),
            "2 steps and 1 values",
        ),
    ],
)
def test_an_impossible_schedule_is_refused(build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build()


@pytest.mark.parametrize(
    "schedule", [schedules.PeriodicLinear, schedules.PeriodicCosine]
)
def test_a_target_that_is_never_reached_is_warned_of(schedule):
    with pytest.warns(UserWarning, match="peaks at 0.3.*high=0.4") as caught:
        schedule(0.0, 0.3, [0, 9], high=0.4)
    assert caught[0].filename == __file__
    schedule(0.0, 0.4, [0, 9], high=0.4)
