"""Properties of outputs: what holds, what is proven, and what is refused."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.verifiers.conftest import NETWORKS, Op, chain, randomize
from tfrobust import threats
from tfrobust.backend import keras
from tfrobust.verifiers import (
    CROWN,
    IBP,
    AlphaCROWN,
    BranchAndBound,
    FastLin,
    PolyhedralEnvelope,
    Specification,
    bounds,
)

pytestmark = pytest.mark.one_keras  # See `ops_test.py`.

LINF = threats.Linf(0.05)
Z = np.random.default_rng(0).normal(size=(40, 4))
LABELS = np.arange(40) % 4


def by_hand(name, z, y):
    """Whether a property holds of one row of outputs."""
    order = np.argsort(-z)
    return {
        "label": order[0] == y,
        "top": y in order[:2],
        "never": order[0] != 1,
        "between": bool(np.all((z > -1) & (z < [1, np.inf, 1, 1]))),
        "labels": bool(np.all((z > 0.1) == (np.arange(4) >= y))),
        "and": order[0] not in (1, 2),
        "or": order[0] == y or order[0] != 1,
    }[name]


def properties(y):
    n = np.inf
    never = Specification.never
    return {
        "label": Specification.label(y, 4),
        "top": Specification.top(y, 4, 2),
        "never": never(1, 4),
        "between": Specification.between([-1.0] * 4, [1.0, n, 1.0, 1.0]),
        "labels": Specification.labels(np.arange(4) >= y[:, None], 0.1),
        "and": never(1, 4) & never(2, 4),
        "or": Specification.label(y, 4) | never(1, 4),
    }


@pytest.mark.parametrize("name", list(properties(LABELS)))
def test_a_property_is_positive_where_it_holds(name):
    found = properties(LABELS)[name](Z).numpy() > 0
    expected = [by_hand(name, z, y) for z, y in zip(Z, LABELS, strict=True)]
    np.testing.assert_array_equal(found, expected)
    assert 0 < np.sum(found) < 40


def test_and_and_or_take_the_smaller_and_the_larger_margin():
    specs = list(properties(LABELS).values())
    for one, two in itertools.product(specs, repeat=2):
        a, b = one(Z).numpy(), two(Z).numpy()
        np.testing.assert_allclose((one & two)(Z), np.minimum(a, b), rtol=1e-5)
        if len(one.clauses) * len(two.clauses) < 20:
            found = (one | two)(Z)
            np.testing.assert_allclose(found, np.maximum(a, b), rtol=1e-5)


@pytest.fixture(scope="module")
def drawn():
    network = NETWORKS["dense"]()
    rng = np.random.default_rng(1)
    randomize(network, rng)
    x = rng.uniform(0, 1, (6, *network.input_shape[1:])).astype(np.float32)
    return network, x, np.argmax(network(x), axis=1)


@pytest.mark.parametrize("kind", [IBP, FastLin, CROWN, AlphaCROWN])
def test_what_is_proven_holds_of_every_point(drawn, kind):
    network, x, y = drawn
    points = [LINF.sample(x, seed) for seed in range(30)]
    outputs = [network(point) for point in points]
    lower, upper = bounds(network, x, kind(LINF))
    for z in outputs:
        assert np.all((lower <= z) & (z <= upper))
    for name, spec in properties(y).items():
        decision = kind(LINF).decide(network, x, spec)
        least = np.min([spec(z) for z in outputs], axis=0)
        assert np.all(decision.margin <= least), name
        np.testing.assert_array_equal(decision.certified, decision.margin > 0)
        assert not np.any(decision.falsified)


def test_the_specification_of_the_label_is_what_labels_ask_for(drawn):
    network, x, y = drawn
    verifier = CROWN(LINF)
    margins = verifier.margins(network, x, y).numpy()
    others = np.arange(4) != y[:, np.newaxis]
    spec = Specification.label(y, 4)
    found = verifier.margins(network, x, spec)
    np.testing.assert_allclose(found, margins[others].reshape(-1, 3), atol=1e-6)
    same = verifier.decide(network, x, y)
    np.testing.assert_array_equal(
        verifier.decide(network, x, spec).certified, same.certified
    )


def test_bounds_of_a_linear_network_are_exact_and_of_any_shape():
    network = chain((5,), keras.layers.Dense(6))
    x = np.random.default_rng(0).uniform(0.1, 0.9, (3, 5)).astype(np.float32)
    grid = keras.Sequential([network, keras.layers.Reshape((2, 2))])
    lower, upper = bounds(grid, x, IBP(LINF))
    assert lower.shape == upper.shape == (3, 2, 2)
    first, last = (np.array(w.numpy()) for w in network.weights[::2])
    width = 0.05 * np.abs(first @ last).sum(axis=0)
    np.testing.assert_allclose(upper - grid(x), grid(x) - lower, atol=1e-5)
    np.testing.assert_allclose(
        (upper - lower)[0].numpy().ravel(), 2 * width, rtol=1e-4
    )


def test_a_graph_takes_specifications_too(drawn):
    network, x, y = drawn
    spec = Specification.never(2, 4)

    @tf.function(autograph=False)
    def margin(x):
        return CROWN(LINF).decide(network, x, spec).margin

    expected = CROWN(LINF).decide(network, x, spec).margin
    np.testing.assert_allclose(margin(x), expected, rtol=1e-5)


def test_boxes_between_corners_hold_both_and_are_bounded():
    rng = np.random.default_rng(0)
    lower = rng.normal(size=(4, 5)) * 10.0 ** rng.integers(-3, 4, (4, 5))
    upper = lower + rng.uniform(0, 1, (4, 5)) * (rng.random((4, 5)) > 0.2)
    x, box = threats.Box.between(lower, upper)
    found = [end.numpy().astype(float) for end in box.box(tf.constant(x))]
    assert np.all(found[0] <= lower + 1e-7 * np.abs(lower))
    assert np.all(found[1] >= upper - 1e-7 * np.abs(upper))
    assert np.all(
        found[1] - found[0] <= upper - lower + 1e-5 * (1 + np.abs(upper))
    )
    network = chain((5,), keras.layers.Dense(3), Op(tf.nn.relu))
    low, high = bounds(network, x, CROWN(box))
    for corner in (lower, upper):
        z = network(corner.astype(np.float32))
        assert np.all((low <= z) & (z <= high))
    x, box = threats.Box.between(np.zeros((1, 2)), np.zeros((1, 2)))
    np.testing.assert_array_equal(box.box(tf.constant(x)), np.zeros((2, 1, 2)))
    for bad in ((upper, lower), (lower[0], upper[0]), (lower, upper[:1])):
        with pytest.raises(ValueError, match="`lower` must be finite and not"):
            threats.Box.between(*bad)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Specification(np.ones(3)), "`rows` must have the shape"),
        (lambda: Specification([[1, np.nan]]), "`rows` must be finite"),
        (
            lambda: Specification(np.ones((2, 3)), [1.0]),
            "a number for each of 2",
        ),
        (
            lambda: Specification(np.ones((2, 3)), clauses=[[0, 2]]),
            "rows 0 to 1",
        ),
        (
            lambda: Specification(np.ones((2, 3)), clauses=[[]]),
            "`clauses` must",
        ),
        (
            lambda: Specification(np.ones((2, 3)), clauses=[[0.5]]),
            "`clauses` must",
        ),
        (lambda: Specification([[1e-39, 1]]), "finite, and 0 or at least"),
        (lambda: Specification([[1, 1]], [-1e-40]), "finite, and 0 or at"),
        (lambda: Specification.label([4], 4), "from 0 to 3"),
        (lambda: Specification.label([0.5], 4), "from 0 to 3"),
        (
            lambda: Specification.label(np.array([], int), 4),
            "`y` must hold one label or more",
        ),
        (lambda: Specification.never(9, 4), "from 0 to 3"),
        (lambda: Specification.top([0], 4, 4), "`k` must be below 4"),
        (lambda: Specification.top([0], 60, 9), "at most 10000 choices"),
        (lambda: Specification.between([1.0], [1.0]), "`low` must be below"),
        (lambda: Specification.labels([[0, 2]]), "`y` must hold 0 and 1"),
        (
            lambda: Specification.never(0, 3) & Specification.never(0, 4),
            "about 3 outputs",
        ),
        (
            lambda: (
                Specification.label([0], 3) | Specification.label([0, 1], 3)
            ),
            "as many examples",
        ),
    ],
)
def test_what_says_nothing_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_specification_of_other_outputs_or_examples_is_refused(drawn):
    network, x, y = drawn
    with pytest.raises(ValueError, match="about 5 outputs.*Received: .6, 4."):
        CROWN(LINF).margins(network, x, Specification.never(0, 5))
    few = Specification.label(y[:2], 4)
    with pytest.raises(Exception, match="rows for 2 examples"):
        CROWN(LINF).margins(network, x, few)
    complete = BranchAndBound(LINF, timeout=0)
    with pytest.raises(ValueError, match="about 5 outputs.*Received: .6, 4."):
        complete.decide(network, x, Specification.never(0, 5))
    with pytest.raises(Exception, match="rows for 2 examples"):
        complete.decide(network, x, few)
    whole = Specification.label(y, 4)
    with pytest.raises(TypeError, match="`y` must hold labels here"):
        PolyhedralEnvelope(LINF).distances(network, x, whole)


@pytest.mark.parametrize("defect", [np.nan, np.inf, -np.inf])
def test_a_broken_bound_proves_nothing(defect):
    both = Specification(np.eye(2))
    either = Specification(np.eye(2), clauses=[[0, 1]])
    bounds = np.array([[defect, 1.0], [defect, -1.0], [defect, defect]])
    assert not np.any(both.margin(bounds) > 0)
    assert either.margin(bounds).numpy().tolist() == [1.0, -1.0, -np.inf]
