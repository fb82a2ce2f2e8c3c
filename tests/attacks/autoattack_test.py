import numpy as np
import pytest
import tensorflow as tf

from tfrobust import attacks, losses
from tfrobust.attacks import APGD, FAB, AutoAttack, Square
from tfrobust.evaluation.counter import Counter
from tfrobust.threats import L1, L2, Box, Linf

pytestmark = pytest.mark.keras_free

LINF = Linf(0.03)
RNG = np.random.default_rng(8)
W = RNG.normal(size=(12, 5)).astype(np.float32)
X = RNG.uniform(0, 1, (12, 3, 4, 1)).astype(np.float32)


def linear(x, training=False):
    # Element by element, so that rows give the same in every batch.
    flat = tf.reshape(x, [-1, 12, 1])
    return tf.reduce_sum(flat * W, axis=1)


Y = np.argmax(linear(X), axis=1)
Y[0] = (Y[0] + 1) % 5


def budget(part):
    """What a part spends: its class, steps, runs, targets and loss."""
    if isinstance(part, Square):
        return Square, part.queries, part.restarts
    if isinstance(part, FAB):
        return FAB, part.steps, part.restarts, part.targets
    return APGD, part.steps, part.restarts, part.targets, part.loss


CE, DLR = "cross_entropy", "dlr"
SQUARE = {"square": (Square, 5000, 1)}


@pytest.mark.parametrize(
    ("threat", "version", "expected"),
    [
        (
            norm(0.5),
            "standard",
            {
                "apgd-ce": (APGD, 100, 1, 0, CE),
                "apgd-t": (APGD, 100, 1, 9, CE),
                "fab-t": (FAB, 100, 1, 9),
                **SQUARE,
            },
        )
        for norm in (Linf, L2)
    ]
    + [
        (
            L1(9.0),
            "standard",
            {
                "apgd-ce": (APGD, 100, 5, 0, CE),
                "apgd-t": (APGD, 100, 1, 5, CE),
                "fab-t": (FAB, 100, 1, 9),
                **SQUARE,
            },
        ),
        (
            LINF,
            "plus",
            {
                "apgd-ce": (APGD, 100, 5, 0, CE),
                "apgd-dlr": (APGD, 100, 5, 0, DLR),
                "fab": (FAB, 100, 5, 0),
                **SQUARE,
                "apgd-t": (APGD, 100, 1, 9, CE),
                "fab-t": (FAB, 100, 1, 9),
            },
        ),
        (
            LINF,
            "rand",
            {
                "apgd-ce": (APGD, 100, 1, 0, CE),
                "apgd-dlr": (APGD, 100, 1, 0, DLR),
            },
        ),
    ],
    ids=["linf", "l2", "l1", "plus", "rand"],
)
def test_the_parts_and_their_budgets_are_those_of_the_papers(
    threat, version, expected
):
    attack = AutoAttack(threat, version, seed=3)
    parts = attack.components(10)
    assert list(parts) == list(expected)
    assert {name: budget(part) for name, part in parts.items()} == expected
    assert attack.notes(10) == attack.notes(1000) == []
    averages = 20 if version == "rand" else 1
    for part in parts.values():
        assert part.threat is threat
        assert getattr(part, "averages", averages) == averages
    seeds = [part.seed for part in parts.values()]
    assert seeds == list(range(3, 3 + len(parts)))


def test_few_classes_have_few_targets_and_it_says_so():
    attack = AutoAttack(LINF)
    parts = attack.components(5)
    assert [parts[name].targets for name in ("apgd-t", "fab-t")] == [4, 4]
    assert attack.notes(5) == [
        'Number of targets of "apgd-t" with 5 classes: 4 instead of 9.',
        'Number of targets of "fab-t" with 5 classes: 4 instead of 9.',
    ]
    (note,) = AutoAttack(L1(9.0)).notes(6)
    assert '"fab-t" with 6 classes: 5 instead of 9' in note


@pytest.mark.parametrize(
    ("version", "names", "runs"),
    [
        ("standard", ["apgd-ce", "apgd-margin", "fab-t", "square"], 2),
        ("plus", ["apgd-ce", "apgd-margin", "fab", "square", "fab-t"], 5),
        ("rand", ["apgd-ce", "apgd-margin"], 1),
    ],
)
def test_on_three_classes_the_margin_loss_replaces_the_dlr_loss(
    version, names, runs
):
    attack = AutoAttack(LINF, version)
    parts = attack.components(3)
    assert list(parts) == names
    assert budget(parts["apgd-margin"]) == (APGD, 100, runs, 0, "margin")
    expected = '4 classes "apgd-margin", .* replaces the DLR loss of "apgd-'
    with pytest.raises(AssertionError, match=expected):
        raise AssertionError(attack.notes(3)[0])


def test_with_its_full_budget_it_finds_what_there_is_in_one_trace():
    traces, model = [], Counter(linear)

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([None, 3, 4, 1]),
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([]),
        ],
    )
    def perturb(x, y, epsilon):
        traces.append(epsilon)
        threat = LINF.replace(epsilon=epsilon)
        return AutoAttack(threat).at(4).perturb(model, x, y)

    found = perturb(X, Y, 0.03).numpy()
    assert np.all(LINF.contains(X, found))
    np.testing.assert_array_equal(found[0], X[0])
    # It errs exactly where the support says that it can.
    gaps = W.T[np.newaxis] - W.T[Y][:, np.newaxis]
    reach = LINF.support(X, gaps.reshape(12, 5, 3, 4, 1)).numpy()
    logits = linear(X).numpy()
    reach += logits - logits[np.arange(12), Y][:, np.newaxis]
    reach[np.arange(12), Y] = -np.inf
    wrong = losses.margin(Y, linear(found)).numpy() > 0
    np.testing.assert_array_equal(wrong, np.max(reach, axis=1) > 0)
    assert 1 < np.sum(wrong) < 12
    before = model.passes()
    two = np.flatnonzero(~wrong)[:2]
    alone = perturb(X[two], Y[two], 0.03)
    np.testing.assert_allclose(alone, found[two], atol=1e-5)
    # Active, they pay for all: 1 + 4 + 4 runs of gradients, and FAB's look.
    assert model.passes()[1] - before[1] == 2 * (9 * 100 + 1)
    np.testing.assert_array_equal(perturb(X[:1], Y[:1], 0.0), X[:1])
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"version": "best"}, '`version` must be "standard", "plus", "rand"'),
        ({"version": "custom"}, "`attacks` must name some attacks"),
        ({"attacks": ["square"]}, "and none otherwise"),
        (
            {"version": "custom", "attacks": ["pgd"]},
            "`attacks` must be among .*'apgd-ce'.* Received: attacks=pgd",
        ),
        ({"averages": 0}, "`averages` must be at least 1"),
    ],
)
def test_an_impossible_argument_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        AutoAttack(LINF, **options)


def test_the_custom_version_runs_what_it_is_told_in_that_order():
    names = "square", "fab", "apgd-t"
    attack = AutoAttack(LINF, "custom", attacks=names)
    assert list(attack.components(10)) == [*names]
    standard, plus = AutoAttack(LINF), AutoAttack(LINF, "plus")
    for whole, name in ((standard, "square"), (plus, "fab")):
        whole_part = whole.components(10)[name]
        part = attack.components(10)[name]
        assert repr(part.replace(seed=0)) == repr(whole_part.replace(seed=0))
    assert list(attack.components(3)) == ["square", "fab", "apgd-margin"]
    assert "apgd-t" in attack.notes(3)[0]


def test_its_square_takes_what_the_paper_s_does_under_l2():
    def square(threat):
        return AutoAttack(threat).components(10)["square"]

    assert square(L2(0.5)).overdraw == 1 < square(L1(9.0)).overdraw


def test_every_feature_may_have_a_radius_of_its_own():
    box = Box(np.full((3, 4, 1), 0.1))
    for version in ("standard", "plus", "rand"):
        parts = AutoAttack(box, version).components(10)
        assert list(parts) == list(AutoAttack(LINF, version).components(10))
        assert all(part.threat is box for part in parts.values())


def test_it_agrees_with_an_ensemble_of_its_parts():
    attack = AutoAttack(LINF, "rand", averages=2)
    ensemble = attacks.Ensemble(attack.components(5), averages=2)
    small = {
        name: part.replace(steps=3) for name, part in ensemble.attacks.items()
    }
    ensemble = ensemble.replace(attacks=small)
    found = ensemble.perturb(linear, X, Y)
    assert np.all(LINF.contains(X, found))
    again = ensemble.perturb(linear, X, Y)
    np.testing.assert_array_equal(found, again)
