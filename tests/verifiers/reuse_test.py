"""What is compiled for one threat serves others, and no answer changes."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import threats
from tfrobust.verifiers import BranchAndBound, Specification
from tfrobust.verifiers.reuse import Compiled

pytestmark = pytest.mark.keras_free

RNG = np.random.default_rng(0)
KERNELS = [
    RNG.normal(size=shape).astype(np.float32) for shape in ((3, 6), (6, 3))
]
X = RNG.uniform(0.3, 0.7, (4, 3)).astype(np.float32)
LONG = 600.0


def searching(threat):
    """Branch and bound that is quickly compiled."""
    return BranchAndBound(threat, LONG, steps=3, candidates=1)


class Network:
    """Counts how often it is traced."""

    traced = 0

    def __call__(self, x, training=False):
        self.traced += not tf.executing_eagerly()
        hidden = tf.nn.relu(x @ KERNELS[0] + 0.2)
        return hidden @ KERNELS[1] + np.float32([0.0, 0.6, 0.3])


def between(reach):
    """The threat between corners, whose range moves with them."""
    return threats.Box.between(X - reach, X + reach)[1]


PAIRS = {
    "l2": (threats.L2(0.02), threats.L2(0.5)),
    "range": (threats.Linf(0.3, 0.29, 0.71), threats.Linf(0.3, -1.0, 2.0)),
    "each": (
        threats.Linf([0.01, 0.02, 0.3, 0.4]),
        threats.Linf([0.4, 0.3, 0.02, 0.01]),
    ),
    "corners": (between(0.02), between(0.4)),
    "mask": [threats.Linf(epsilon, mask=np.ones(3)) for epsilon in (0.02, 0.3)],
}


@pytest.mark.parametrize("kind", PAIRS)
def test_a_threat_of_other_values_costs_no_trace(kind):
    first, second = PAIRS[kind]
    network, y = Network(), np.argmax(Network()(X), axis=1)
    search = searching(first)
    search.answer(network, X, y)
    before = network.traced
    assert before > 0
    found = search.replace(threat=second, timeout=LONG - 1).answer(
        network, X, y
    )
    assert network.traced == before
    again = search.answer(network, X, y)
    for threat, answer in ((first, again), (second, found)):
        alone = searching(threat).answer(Network(), X, y)
        np.testing.assert_array_equal(answer.verdict, alone.verdict)
        np.testing.assert_allclose(answer.margins, alone.margins, atol=1e-5)
    assert set(again.verdict) | set(found.verdict) == {"certified", "falsified"}


@pytest.mark.parametrize(
    "other",
    [
        threats.L2(0.1),
        threats.Linf([0.1] * 4),
        threats.Linf(0.1, mask=[1, 0, 1]),
    ],
)
def test_a_threat_of_another_form_is_compiled_anew(other):
    network, y = Network(), np.argmax(Network()(X), axis=1)
    search = searching(threats.Linf(0.1))
    search.answer(network, X, y)
    before = network.traced
    found = search.replace(threat=other).answer(network, X, y)
    assert network.traced > before
    alone = searching(other).answer(Network(), X, y)
    np.testing.assert_allclose(found.margins, alone.margins, atol=1e-5)


def test_what_a_threat_holds_beside_its_values_is_its_form():
    class Weighed(threats.Linf):
        def __init__(self, epsilon, radius):
            super().__init__(epsilon)
            self.radius, self.derived = radius, 2 * radius

    made, compiled, network = [], Compiled(), Network()

    def counted(threat):
        made.append(threat)
        return len(made)

    for threat, count in [
        (Weighed(0.1, radius=1.0), 1),
        (Weighed(0.2, radius=1.0), 1),
        (Weighed(0.2, radius=3.0), 2),
    ]:
        assert compiled.of(counted, network, threat, (3,)) == count
    assert float(made[0].epsilon) == np.float32(0.2)


def test_another_property_costs_no_trace():
    network = Network()
    x, box = threats.Box.between(X - 0.05, X + 0.05)
    search = searching(box)
    rows = RNG.normal(size=(2, 4, 3, 3)).astype(np.float32)
    clauses = [[0, 1], [2]]
    search.answer(network, x, Specification(rows[0], clauses=clauses))
    before = network.traced
    x, box = threats.Box.between(X - 0.1, X + 0.2)
    spec = Specification(rows[1], clauses=clauses)
    found = search.replace(threat=box).answer(network, x, spec)
    assert network.traced == before
    alone = searching(box).answer(network, x, spec)
    np.testing.assert_array_equal(found.verdict, alone.verdict)
    np.testing.assert_allclose(found.margins, alone.margins, atol=1e-5)
