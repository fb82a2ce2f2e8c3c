"""Functions in pieces are recognised whole and stay between their lines."""

import numpy as np
import pytest
import tensorflow as tf

from tests.bounds.sampled import slack
from tfrobust import threats, verifiers
from tfrobust.bounds.record import look_up, problem
from tfrobust.graph import Trace

pytestmark = pytest.mark.keras_free

FUNCTIONS = {
    "threshold": lambda x: tf.where(x > 0.3, x, 0.0),
    "threshold by a product": lambda x: x * tf.cast(x > -0.3, x.dtype),
    "threshold, slope and limit": lambda x: (
        tf.clip_by_value(tf.where(x > 0.3, x, 0.0), 0.0, 2.0)
        - 0.2 * tf.nn.relu(-x + 0.3)
    ),
    "hard shrink": lambda x: tf.where(tf.abs(x) > 0.5, x, tf.zeros_like(x)),
    "soft shrink": lambda x: tf.where(
        x > 0.5, x - 0.5, tf.where(x < -0.5, x + 0.5, tf.zeros_like(x))
    ),
    "sparse plus": lambda x: tf.where(
        x <= -1, tf.zeros_like(x), tf.where(x < 1, 0.25 * (x + 1) ** 2, x)
    ),
    "sparse sigmoid": lambda x: tf.where(
        x <= -1, 0.0, tf.where(x >= 1, 1.0, 0.5 * (x + 1))
    ),
    "steep below": lambda x: tf.nn.leaky_relu(x, 1.5),
    "falling below": lambda x: tf.nn.leaky_relu(x, -0.5),
    "a shortcut": lambda x: x + tf.where(x > 0, x, -2 * x),
    "divided and squared": lambda x: tf.where(
        x > 0, tf.square(x) / 3, tf.minimum(x, -1.0)
    ),
    "relu6": lambda x: tf.where(x > 7, 2.0, tf.nn.relu6(x)),
}
# What they are at one place lies apart from what they are around it.
POINTS = {
    "a point": lambda x: (
        tf.cast(x >= 0.5, tf.float32) * tf.cast(x <= 0.5, tf.float32)
    ),
    "between two": lambda x: tf.where(
        x > 0.5, 1.0, tf.where(x < 0.5, tf.minimum(x, 0.0), 9.0)
    ),
    "of a size": lambda x: tf.where(tf.abs(x - 0.5) <= 0.0, 7.0, x),
}
# Comparisons are with what many inputs give.
FLAT = {
    "above": lambda x: tf.cast(tf.nn.relu(x) > 0, tf.float32),
    "not below": lambda x: tf.cast(tf.nn.relu(x) >= 0, tf.float32),
    "below": lambda x: tf.cast(tf.nn.relu(x) < 0, tf.float32),
    "not above": lambda x: tf.cast(tf.nn.relu(x) <= 0, tf.float32),
    "none of them": lambda x: tf.where(
        tf.nn.relu(x) > 0,
        tf.ones_like(x),
        tf.where(tf.nn.relu(x) < 0, -tf.ones_like(x), 5 * tf.ones_like(x)),
    ),
}
every = pytest.mark.parametrize("name", list(FUNCTIONS))


def traced(function, shape=(3,)):
    trace = Trace(lambda x, training: function(x), tf.zeros([2, *shape]))
    return [node for node in trace.nodes if node.op is not None], trace


def boxes():
    rng = np.random.default_rng(0)
    centre = rng.normal(0, 2, 300)
    radius = 10 ** rng.uniform(-6, 1, 300)
    ends = [(centre - radius, centre + radius)]
    for edge in (-1.0, -0.5, -0.3, 0.0, 0.3, 0.5, 1.0, 7.0):
        width = 10 ** rng.uniform(-6, 1, (2, 20))
        ends.append((np.full(20, edge), edge + width[0]))
        ends.append((edge - width[0], np.full(20, edge)))
        ends.append((edge - width[0], edge + width[1]))
    lower, upper = (np.concatenate(e) for e in zip(*ends, strict=True))
    return np.float32(lower), np.float32(upper)


@every
@pytest.mark.parametrize("free", [None, 0.3])
def test_no_piece_crosses_its_lines(name, free):
    function = FUNCTIONS[name]
    (node,), trace = traced(function, (1,))
    assert node.type == "Pieces"
    look_up(trace)
    lower, upper = (end[:, np.newaxis] for end in boxes())
    alpha = None if free is None else tf.fill(lower.shape, free)
    found = node.rule.relaxation(
        node, tf.constant(lower), tf.constant(upper), alpha
    )
    slope, below, steeper, above = np.asarray(found, np.float64)
    least, most = np.asarray(node.rule.interval(node, [(lower, upper)]))
    edges = np.array([float(edge) for edge in node.op.detail.edges])
    special = np.concatenate([edges - 1e-6, edges, edges + 1e-6, [0.0]])
    grid = [*np.linspace(lower, upper, 101)]
    grid += [np.clip(np.float32(z), lower, upper) for z in special]
    for z in map(np.float32, grid):
        value = np.float64(function(tf.constant(z)))
        assert np.all(slope * z + below <= value)
        assert np.all(value <= steeper * z + above)
        assert np.all((least <= value) & (value <= most))


@every
def test_the_interval_is_no_wider_than_it_must_be(name):
    function = FUNCTIONS[name]
    (node,), trace = traced(function, (1,))
    look_up(trace)
    lower, upper = np.float32([[-2.0], [0.31], [-0.6]]), np.float32([[2.5]] * 3)
    least, most = np.asarray(node.rule.interval(node, [(lower, upper)]))
    grid = np.linspace(lower, upper, 2001, dtype=np.float64)
    value = function(tf.constant(grid)).numpy()
    assert np.all(value.min(0) - least < 5e-3)
    assert np.all(most - value.max(0) < 5e-3)


def test_what_it_computes_is_what_the_network_did():
    for function in FUNCTIONS.values():
        (node,), _ = traced(function, (201,))
        x = tf.reshape(tf.linspace(-8.0, 8.0, 201), [1, 201])
        np.testing.assert_array_equal(node.run(x), function(x))


@pytest.mark.parametrize("name", ["threshold", "sparse plus", "falling below"])
def test_it_is_bounded_in_a_network(name):
    assert np.all(slack(FUNCTIONS[name], (3,)) < 50)


@pytest.mark.parametrize("name", ["soft shrink"])
def test_it_is_recognised_in_a_graph_too(name):
    def model(x, training=False):
        return FUNCTIONS[name](x)

    verifier = verifiers.CROWN(threats.Linf(0.1))
    x = tf.constant([[0.2, 0.5, 0.9]])
    outside = verifier.margins(model, x, [2])
    compiled = tf.function(verifier.margins, autograph=False)
    inside = compiled(model, x, tf.constant([2]))
    np.testing.assert_allclose(outside, inside, rtol=1e-5)


@pytest.mark.parametrize("name", [*POINTS, *FLAT])
def test_what_it_is_at_one_place_counts(name):
    function = {**POINTS, **FLAT}[name]
    x = np.float32([[-0.25, 0.0, 0.5]])
    places = np.float32([[-1.0, -0.25, 0.0], [0.5, 0.5, 0.5], [0.0, 0.3, 1.0]])
    for kind in (verifiers.IBP, verifiers.CROWN):
        try:
            lower, upper = verifiers.bounds(
                lambda x, training=False: function(x),
                x,
                kind(threats.Linf(1.0, low=-2.0, high=2.0)),
            )
        except NotImplementedError as error:
            assert name in ("between two", "of a size")
            assert "SelectV2" in str(error)
            continue
        values = function(tf.constant(places)).numpy()
        assert np.all((lower <= values) & (values <= upper))


REFUSED = {
    "two values": lambda x: tf.where(x > x[:, ::-1], x, 0.0),
    "what was rounded": lambda x: tf.where(2.5 * x + 0.1 > 0.3, x, 0.0),
    "two constants": lambda x: tf.where(x > [1.0, 2.0, 3.0], x, 0.0),
    "a cube": lambda x: tf.where(x > 0, x * x * x, 0.0),
    "a square compared": lambda x: tf.where(tf.square(x) > 0.5, x, 0.0),
    "a broadcast": lambda x: tf.where(x[:, :1] > 0.5, x, 0.0),
    "another type": lambda x: tf.where(
        tf.cast(x, tf.float64) > 0.3, x, tf.zeros_like(x)
    ),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_is_no_such_function_stays_refused(name):
    nodes, _ = traced(REFUSED[name])
    assert any(map(problem, nodes))


def test_a_square_that_overflows_where_it_is_not_chosen_proves_nothing():
    def model(x, training=False):
        far = tf.where(x > 0, tf.square(x), tf.minimum(x, 0.0))
        return tf.concat([9 + 0 * far, far], 1)

    threat = threats.Box(np.float32([[1e25]]), -1e26, 1e26)
    for kind in (verifiers.IBP, verifiers.CROWN):
        margins = kind(threat).margins(model, np.float32([[0.0]]), [0])
        assert margins[0, 1] == -np.inf
