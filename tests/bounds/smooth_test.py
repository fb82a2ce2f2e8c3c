"""Curves stay between their lines, which are the closest that there are."""

import types

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tests.bounds.sampled import slack
from tfrobust import threats, verifiers
from tfrobust.bounds import curve_families, smooth_curves
from tfrobust.bounds.record import RULES, Record, problem
from tfrobust.bounds.smooth import Curve, extremes, lines
from tfrobust.bounds.smooth_rule import Smooth
from tfrobust.graph import Trace
from tfrobust.verifiers import check_rule

pytestmark = pytest.mark.keras_free

SCALE, STEEP = 1.0507009873554805, 1.6732632423543772


def gelu_tanh(z):
    inner = np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)
    # Where 1 + tanh would cancel.
    return z * scipy.special.expit(2 * inner)


def mish(z):
    return z * np.tanh(np.logaddexp(z, 0))


def silu(z):
    return z * scipy.special.expit(z)


EXACT = {
    "Abs": np.abs,
    "Atan": np.arctan,
    "Erf": scipy.special.erf,
    "Erfc": scipy.special.erfc,
    "Exp": np.exp,
    "Expm1": np.expm1,
    "Gelu": lambda z: z * scipy.special.ndtr(z),
    "GeluTanh": gelu_tanh,
    "HardSilu": lambda z: z * np.clip(z + 3, 0, 6) / 6,
    "Log": np.log,
    "Mish": mish,
    "Reciprocal": lambda z: 1 / z,
    "Rsqrt": lambda z: 1 / np.sqrt(z),
    "Selu": lambda z: (
        SCALE * (np.maximum(z, 0) + STEEP * np.expm1(np.minimum(z, 0)))
    ),
    "Silu": silu,
    "Softsign": lambda z: z / (1 + np.abs(z)),
    "Sqrt": np.sqrt,
    "Square": np.square,
}
for _alpha in (0.5, 2.0):
    EXACT[f"Celu of {_alpha}"] = lambda z, a=_alpha: (
        np.maximum(z, 0) + a * np.expm1(np.minimum(z, 0) / a)
    )
    EXACT[f"ScaledElu of {_alpha}"] = lambda z, a=_alpha: (
        np.maximum(z, 0) + a * np.expm1(np.minimum(z, 0))
    )
    EXACT[f"ScaledSilu of {_alpha}"] = lambda z, b=_alpha: (
        z * scipy.special.expit(b * z)
    )
FAMILIES = {
    f"{name} of {constant}": family(constant)
    for name, family in curve_families.FAMILIES.items()
    for constant in (0.5, 2.0)
}
RULE_OF = RULES | {
    name: Record(Smooth(lambda node, c=curve: c, 4), None)
    for name, curve in FAMILIES.items()
}
CURVES = smooth_curves.CURVES | smooth_curves.PRODUCTS | FAMILIES
OPS = {
    "Gelu": tf.nn.gelu,
    "GeluTanh": lambda x: tf.nn.gelu(x, approximate=True),
    "HardSilu": lambda x: x * (tf.nn.relu6(x + 3) / 6),
    "Mish": lambda x: x * tf.tanh(tf.math.softplus(x)),
    "Silu": lambda x: x * tf.sigmoid(x),
}
for _name in smooth_curves.CURVES:
    OPS[_name] = lambda x, name=_name: (
        tf.raw_ops.Softsign(features=x)
        if name == "Softsign"
        else tf.nn.selu(x)
        if name == "Selu"
        else getattr(tf.raw_ops, name)(x=x)
    )
every_curve = pytest.mark.parametrize("name", sorted(CURVES))


def intervals(curve, count=600):
    """Narrow ones, wide ones, and ones that begin or end where it bends."""
    rng = np.random.default_rng(0)
    centre = rng.normal(0, 3, count)
    radius = 10 ** rng.uniform(-6, 1.5, count)
    ends = [(centre - radius, centre + radius)]
    wide = 10 ** rng.uniform(-3, 5, (2, count))
    ends.append((-wide[0], wide[1]))
    for place in {*curve.bends, *curve.turns, 0.0}:
        width = 10 ** rng.uniform(-6, 1, (2, 60))
        ends.append((np.full(60, place), place + width[0]))
        ends.append((place - width[0], np.full(60, place)))
        ends.append((place - width[0], place + width[1]))
    lower, upper = (np.concatenate(e) for e in zip(*ends, strict=True))
    if curve.positive:
        lower, upper = np.abs(lower) + 1e-3, np.abs(upper) + 1e-3
        lower, upper = np.minimum(lower, upper), np.maximum(lower, upper)
    elif curve.value is tf.exp or curve.value is tf.math.expm1:
        lower, upper = np.minimum(lower, 40), np.minimum(upper, 40)
    return np.float32(lower), np.float32(np.maximum(lower, upper))


@every_curve
@pytest.mark.parametrize("free", [None, 0.3])
def test_no_line_crosses_its_curve(name, free):
    curve = CURVES[name]
    lower, upper = intervals(curve)
    alpha = None if free is None else tf.fill(lower.shape, free)
    found = lines(curve, tf.constant(lower), tf.constant(upper), alpha, 1e-6)
    slope, below, steeper, above = np.asarray(found, np.float64)
    width = np.float64(upper) - lower
    points = [lower + share * width for share in np.linspace(0, 1, 101)]
    special = [*np.linspace(-8, 8, 65), *curve.bends, *curve.turns]
    points += [np.clip(z, lower, upper) for z in special]
    for z in map(np.float64, points):
        value = EXACT[name](z)
        assert np.all(slope * z + below <= value)
        assert np.all(value <= steeper * z + above)


@every_curve
def test_no_value_leaves_its_interval(name):
    curve = CURVES[name]
    lower, upper = intervals(curve)
    node = types.SimpleNamespace()
    ends = RULE_OF[name].rule.interval(
        node, [(tf.constant(lower), tf.constant(upper))]
    )
    least, most = np.asarray(ends, np.float64)
    grid = np.linspace(lower, upper, 101, dtype=np.float64)
    places = [np.clip(t, lower, upper) for t in curve.turns]
    values = EXACT[name](np.stack([*grid, *places]))
    assert np.all(least <= values.min(0)) and np.all(values.max(0) <= most)
    # It is no wider than it must be, either.
    size = 1 + np.maximum(np.abs(least), np.abs(most))
    size += curve.spread * np.maximum(np.abs(lower), np.abs(upper))
    room = np.maximum(values.min(0) - least, most - values.max(0))
    assert np.all(room <= 8e-6 * size)


def envelope(function, lower, upper, count=400):
    """The convex envelope in the middle of an interval, on a grid."""
    z = np.linspace(lower, upper, count + 1)
    value, middle = function(z), (lower + upper) / 2
    left, right = np.meshgrid(z[z < middle], z[z > middle])
    first, last = np.meshgrid(value[z < middle], value[z > middle])
    share = (middle - left) / (right - left)
    chords = first + share * (last - first)
    return min(np.min(chords), function(np.array(middle)))


ENDS = (-1, 1), (0.5, 2.5), (-4, 1), (-6, -1), (-1.5, 6), (1, 9), (-5, 5)


@every_curve
def test_the_lines_are_the_closest_in_the_middle(name):
    curve, exact, pairs = CURVES[name], EXACT[name], np.array(ENDS)
    if curve.positive:
        pairs = np.sort(np.abs(pairs + 0.1) / 2, axis=1)
    lower, upper = map(tf.constant, np.float32(pairs).T)
    found = lines(curve, lower, upper, None, 1e-6)
    for ends, line in zip(pairs, np.transpose(found), strict=True):
        slope, below, steeper, above = line.astype(float)
        middle = sum(ends) / 2
        off = 2e-3 * np.ptp(exact(np.linspace(*ends, 101))) + 1e-4
        least = envelope(exact, *ends)
        most = -envelope(lambda z: -exact(z), *ends)
        assert slope * middle + below >= least - off
        assert steeper * middle + above <= most + off


@pytest.mark.parametrize(
    "name", ["Gelu", "HardSilu", "Log", "ScaledSilu of 0.5"]
)
def test_the_lines_are_the_same_in_a_graph(name):
    curve = CURVES[name]
    lower, upper = tf.constant([0.5, 1.0]), tf.constant([0.75, 4.0])
    if not curve.positive:
        lower = tf.constant([-2.0, -0.5])

    def between(lower, upper):
        return [lines(curve, lower, upper, a, 1e-6) for a in (None, 0.3)]

    compiled = tf.function(between, autograph=False)
    for one, other in zip(
        tf.nest.flatten(between(lower, upper)),
        tf.nest.flatten(compiled(lower, upper)),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_bends_and_turns_are_where_derivatives_vanish():
    for name, curve in CURVES.items():
        for z in curve.turns:
            if name not in ("Abs", "HardSilu"):
                assert abs(curve.slope(tf.constant(z, tf.float64))) < 1e-14
        for z in curve.bends:
            if name in ("Selu", "HardSilu", "ScaledElu of 2.0"):
                continue
            near = tf.constant([z - 1e-4, z, z + 1e-4], tf.float64)
            before, at, after = np.asarray(curve.slope(near))
            assert (at - before) * (after - at) < 0, name


@pytest.mark.parametrize("name", ["Gelu", "Log", "Square"])
def test_what_an_op_computes_is_bounded(name):
    ends = (0.2, 5.0) if CURVES[name].positive else (-4.0, 4.0)
    check_rule(OPS[name], (3,), *ends, samples=4)


@pytest.mark.parametrize("exponent", [3.0, 4.0])
def test_a_power_is_bounded(exponent):
    check_rule(lambda x: tf.pow(x, exponent), (3,), -2.0, 2.0, samples=3)


@pytest.mark.parametrize("exponent", [-2.0, 0.3])
def test_a_power_of_positive_numbers_is_bounded(exponent):
    check_rule(lambda x: tf.pow(x, exponent), (3,), 0.2, 3.0, samples=3)


@pytest.mark.parametrize("name", ["Log", "Reciprocal", "Rsqrt", "Sqrt"])
def test_where_there_is_no_value_nothing_is_proven(name):
    def model(x, training=False):
        return tf.concat([OPS[name](x), 9 + 0 * x], 1)

    x = np.array([[0.5], [0.05]], np.float32)
    for kind in (verifiers.IBP, verifiers.CROWN):
        margins = kind(threats.Linf(0.1)).margins(model, x, [1, 1]).numpy()
        assert margins[0, 0] > 0 and margins[1, 0] == -np.inf


def test_a_reciprocal_of_negative_numbers_is_bounded():
    check_rule(lambda x: 1 / x, (3,), -5.0, -0.2, samples=4)


def test_a_reciprocal_is_bounded_alike_on_both_sides():
    def model(x, training=False):
        return tf.concat([1 / x, 9 + 0 * x], 1)

    def mirrored(x, training=False):
        return tf.concat([-9 + 0 * x, 1 / x], 1)

    x = np.float32([[0.5], [0.9], [2.0]])
    linf = threats.Linf(0.1, -3.0, 3.0)
    for kind in (verifiers.IBP, verifiers.CROWN, verifiers.AlphaCROWN):
        for label in (0, 1):
            y = np.full(3, label)
            above = kind(linf).margins(model, x, y)[:, 1 - label]
            below = kind(linf).margins(mirrored, -x, y)[:, 1 - label]
            np.testing.assert_allclose(below, above, rtol=1e-4, atol=1e-5)
            assert np.all(np.isfinite(below))


@every_curve
def test_a_curve_is_pulled_by_a_gradient(name):
    curve = CURVES[name]
    lower = tf.constant([0.3, 0.7])
    with tf.GradientTape() as tape:
        tape.watch(lower)
        total = tf.add_n(lines(curve, lower, lower + 1.5, None, 1e-6))
    gradient = tape.gradient(total, lower)
    assert np.all(np.isfinite(gradient))


NEAR_MISSES = {
    "another half": lambda x: 0.501 * x * tf.math.erfc(-x * np.sqrt(0.5)),
    "erfc of the other side": lambda x: 0.5 * x * tf.math.erfc(x * 0.70710678),
    "erfc by another factor": lambda x: 0.5 * x * tf.math.erfc(-x * 0.7071),
    "sigmoid a hundred times as steep": lambda x: x * tf.sigmoid(200 * x),
    "sigmoid of another": lambda x: x * tf.sigmoid(x[:, ::-1]),
    "sigmoid of a sum": lambda x: x * tf.sigmoid(x + 1),
    "tanh in its place": lambda x: x * tf.tanh(x),
    "another power": lambda x: (
        0.5
        * x
        * (1 + tf.tanh(0.7978845608028654 * (x + 0.044715 * tf.pow(x, 2))))
    ),
    "another constant": lambda x: (
        0.5 * x * (1 + tf.tanh(0.797 * (x + 0.044715 * tf.pow(x, 3))))
    ),
    "a softplus less": lambda x: x * tf.tanh(tf.nn.relu(x)),
    "clipped elsewhere": lambda x: x * (tf.nn.relu6(x + 2) / 6),
    "turned over": lambda x: x * (6 / (tf.nn.relu6(x + 3) + 1)),
    "broadcast": lambda x: x[:, :1] * tf.sigmoid(x),
    "a constant for each": lambda x: (
        x * (tf.nn.relu6(x + np.array([3, 3, 2], np.float32)) / 6)
    ),
}


@pytest.mark.parametrize("name", list(NEAR_MISSES))
def test_a_near_miss_is_no_curve(name):
    function = NEAR_MISSES[name]
    trace = Trace(lambda x, training: function(x), tf.fill([4, 3], 0.5))
    found = {node.type for node in trace.nodes}
    assert not found & {*smooth_curves.PRODUCTS, *curve_families.FAMILIES}


REFUSED = {
    "a base": (lambda x: tf.pow(2.0, x), "Pow"),
    "exponents": (lambda x: tf.pow(x, [1.0, 2.0, 3.0]), "Pow"),
    "no exponent": (lambda x: tf.pow(x, 0.0), "Pow"),
    "a large one": (lambda x: tf.pow(x, 40.0), "Pow"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_a_power_of_another_kind_is_refused(name):
    function, op = REFUSED[name]
    trace = Trace(lambda x, training: function(x), tf.fill([4, 3], 0.5))
    found = "\n".join(str(problem(node)) for node in trace.nodes[1:])
    assert f"The op {op}" in found


def test_a_wrong_bend_is_noticed():
    wrong = CURVES["Silu"]._replace(bends=(-1.5, 1.5))
    lower, upper = map(tf.constant, intervals(wrong))
    found = lines(wrong, lower, upper, tf.fill(lower.shape, 0.5), 1e-6)
    slope, below, _, _ = np.asarray(found, np.float64)
    grid = np.linspace(lower, upper, 101, dtype=np.float64)
    assert np.any(slope * grid + below > silu(grid))


def test_the_extremes_of_a_curve_are_those_of_a_grid():
    curve = Curve(tf.square, lambda z: 2 * z, turns=(0.0,))
    ends = tf.constant([-1.0, 1.0, -3.0]), tf.constant([2.0, 2.0, -1.0])
    least, most = extremes(curve, *ends)
    np.testing.assert_array_equal(least, [0, 1, 1])
    np.testing.assert_array_equal(most, [4, 4, 9])


def celu(x):
    below = 0.5 * tf.math.expm1(tf.minimum(x, 0.0) / 0.5)
    return tf.maximum(x, 0.0) + below


WRITTEN = {
    "Celu": celu,
    "ScaledElu": lambda x: tf.where(x > 0, tf.nn.elu(x), 0.5 * tf.nn.elu(x)),
    "ScaledSilu": lambda x: tf.nn.silu(x, beta=1.7),
    "Same": lambda x: tf.cast(tf.cast(2 * x, tf.float64), tf.float32),
    "Reciprocal": lambda x: [1.0, 2.0, -3.0] / (x + 5),
}


@pytest.mark.parametrize("name", list(WRITTEN))
def test_what_is_written_in_several_ops_is_one_curve(name):
    trace = Trace(lambda x, training: WRITTEN[name](x), tf.fill([4, 3], 0.5))
    assert name in [node.type for node in trace.nodes]
    assert np.all(slack(WRITTEN[name], (3,)) < 30)
