"""The verifiers hold against networks drawn at random.

`python -m tests.bounds.fuzz` looks further. What judges is judged here too:
truths against closed forms, and the verdicts against engines that are wrong.
"""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.bounds import fuzz
from tests.bounds.fuzzed import judge, networks, rounding, sets
from tests.bounds.fuzzed.truth import Truth
from tfrobust.bounds import rounding as engine_rounding
from tfrobust.bounds import rules
from tfrobust.bounds.activation import Activation, hinge_lines

pytestmark = pytest.mark.keras_free

COUNT = 20
SEARCHED = 18  # The seed of a small linf threat.


@pytest.fixture(scope="module", autouse=True)
def graphs_that_run_once():
    """Optimising a graph takes longer than running it once."""
    options = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options(
        {"disable_meta_optimizer": True}
    )
    yield
    tf.config.optimizer.set_experimental_options(
        {"disable_meta_optimizer": False, **options}
    )


def violations(seeds, spec_of=fuzz.spec_of, count=1):
    """What the networks of some seeds break, as text."""
    found = fuzz.Findings(shrink=False, report=str)
    for seed in seeds:
        names = fuzz.chosen(seed, count, searches=0)
        spec = spec_of(seed)
        found.add(seed, spec, *judge.judge(spec, seed, names))
    return [f"seed {seed}: {violation}" for seed, violation in found.violations]


@pytest.mark.builds_keras
@pytest.mark.parametrize("first", range(0, 60, COUNT))
def test_no_network_breaks_a_verifier(first):
    assert violations(range(first, first + COUNT)) == []


@pytest.mark.builds_keras
@pytest.mark.parametrize("first", networks.FAMILIES)
def test_every_family_of_ops_is_bounded_behind_every_other(first):
    for place, second in enumerate(networks.FAMILIES):
        for number in range(20):  # Some attributes are refused.
            spec = networks.paired(first, second, number)
            names = fuzz.chosen(100 * number + place, 2, searches=0)
            verdicts = judge.judge(spec, number, names)[1].values()
            assert not [v.violation for v in verdicts if v.violation], spec
            if all(verdict.outcome == "bounded" for verdict in verdicts):
                break
        else:
            pytest.fail(f"No network of {first} and {second} is bounded.")


@pytest.mark.parametrize("family", list(rounding.FAMILIES))
def test_no_rounding_breaks_a_verifier(family):
    assert (
        violations(range(2), lambda s: rounding.Rounded(s, family).spec) == []
    )


@pytest.mark.parametrize("order", [1.0, 2.0, np.inf])
def test_the_smallest_margins_of_linear_networks_are_those_of_formulas(order):
    spec = networks.Spec((3,), (("dense", 1), ("dense", 2)))
    network = networks.Network(spec)
    seed = next(
        seed
        for seed in range(100)
        if (problem := sets.drawn(seed, (3,), 3)).order == order
        and problem.exact
        and problem.high == 9
        and np.all(problem.radius > 0)
    )
    problem = sets.drawn(seed, (3,), 3)
    smallest = Truth(network, problem, seed).smallest
    logits = network(tf.constant(problem.x, tf.float64)).numpy()
    zeros = tf.zeros((1, 3), tf.float64)
    matrix = (network(tf.eye(3, dtype=tf.float64)) - network(zeros)).numpy()
    dual = {1.0: np.inf, 2.0: 2.0, np.inf: 1.0}[order]
    for k, label in enumerate(problem.y):
        slopes = matrix[:, label : label + 1] - matrix
        reach = np.linalg.norm(slopes * problem.radius[k][:, None], dual, 0)
        exact = logits[k, label] - logits[k] - reach
        np.testing.assert_allclose(smallest[k], exact, atol=1e-5)


@pytest.mark.builds_keras
@pytest.mark.parametrize(
    "name", ["BranchAndBound of 8", "certified_radius of envelopes"]
)
def test_no_search_breaks_its_promise(name):
    steps = (
        ("keras_permute", 1),
        ("keras_flatten", 2),
        ("dense", 3),
        ("relu", 4),
    )
    spec = networks.Spec((3, 4), steps, 10 if "8" in name else 3)
    _, found = judge.judge(spec, SEARCHED, [name])
    assert found[name].violation is None
    assert found[name].outcome == "bounded"


def flat_hinge(node, lower, upper, alpha=None):
    lines = hinge_lines(lower, upper)
    return lines._replace(upper_intercept=0.0 * lower)


def with_a_wrong_line(monkeypatch):
    record = rules.RULES["Relu"]
    wrong = dataclasses.replace(record, rule=Activation(flat_hinge, hinge=True))
    monkeypatch.setitem(rules.RULES, "Relu", wrong)


def without_rounding(monkeypatch):
    monkeypatch.setattr(engine_rounding, "UNIT", 2.0**-44)


def without_a_check(monkeypatch):
    record = rules.RULES["StridedSlice"]
    wrong = dataclasses.replace(record, apart=lambda node: True)
    monkeypatch.setitem(rules.RULES, "StridedSlice", wrong)


def without_an_attribute(monkeypatch):
    # As if every slope were 0.
    record = rules.RULES["LeakyRelu"]
    wrong = dataclasses.replace(record, rule=rules.RULES["Relu"].rule)
    monkeypatch.setitem(rules.RULES, "LeakyRelu", wrong)


def plain(*names):
    """Networks of these steps, of different weights."""

    def spec_of(seed):
        steps = tuple((name, seed + k) for k, name in enumerate(names))
        return networks.Spec((3,) if names[0] == "dense" else (4, 4, 2), steps)

    return spec_of


MUTANTS = {
    "a line": (with_a_wrong_line, plain("dense", "relu", "dense"), "unsound"),
    "rounding": (
        without_rounding,
        lambda seed: rounding.Rounded(seed, "null space").spec,
        "unsound",
    ),
    "a check": (without_a_check, plain("batch reversed", "relu"), "unsound"),
    "an attribute": (
        without_an_attribute,
        plain("dense", "leaky_relu", "dense"),
        "unsound",
    ),
}


@pytest.mark.parametrize("name", list(MUTANTS))
def test_an_engine_that_is_wrong_is_caught(name, monkeypatch):
    mutate, spec_of, kind = MUTANTS[name]
    assert violations(range(5), spec_of) == []
    mutate(monkeypatch)
    assert any(kind in text for text in violations(range(5), spec_of))
