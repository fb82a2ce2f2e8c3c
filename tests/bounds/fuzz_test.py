"""The verifiers hold against networks drawn at random.

`python -m tests.bounds.fuzz` looks further. What judges is judged here too:
truths against closed forms, and the verdicts against engines that are wrong.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests.bounds import fuzz
from tests.bounds.fuzzed import judge, networks, rounding, sets
from tests.bounds.fuzzed.truth import Truth

COUNT = 20


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
    assert found.outcomes["bounded"] > 0
    return [f"seed {seed}: {violation}" for seed, violation in found.violations]


@pytest.mark.parametrize("first", range(0, 80, COUNT))
def test_no_network_breaks_a_verifier(first):
    assert violations(range(first, first + COUNT)) == []


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
