"""One run for all: any verifier, one trace of the network, no data kept."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.evaluation import run as run_module
from tfrobust.evaluation.counter import Counter
from tfrobust.evaluation.network import Network
from tfrobust.evaluation.runner import Runner
from tfrobust.evaluation.state import State
from tfrobust.verifiers import Decision

THREAT = tfr.threats.Linf(0.1)
X = np.array([[0.3, 0.5], [0.45, 0.5], [0.9, 0.2]], np.float32)
Y = np.array([0, 0, 1])
QUIET = {"diagnostic_examples": 0, "verbose": 0}


class Counted(keras.layers.Layer):
    """Passes its input on, and counts how often it is traced."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def call(self, x):
        self.calls += not tf.executing_eagerly()
        return x

    def compute_output_shape(self, input_shape):
        return input_shape


@pytest.fixture
def counted():
    return Counted()


@pytest.fixture
def network(counted):
    """Class 1 iff the first feature exceeds one half."""
    found = keras.Sequential([keras.Input((2,)), counted])
    found.add(keras.layers.Dense(2))
    found.set_weights(
        [np.array([[-1.0, 1.0], [0.0, 0.0]]), np.array([0.5, -0.5])]
    )
    counted.calls = 0
    return found


class Eager(tfr.Verifier):
    """By hand, in NumPy alone; sees no graph."""

    def __init__(self, threat):
        self.threat = threat

    def margins(self, model, x, y):
        logits = model(x, training=False).numpy()
        rows = np.arange(len(logits))
        margins = logits[rows, y.numpy()][:, np.newaxis] - logits
        margins -= 2 * float(self.threat.epsilon)
        margins[rows, y.numpy()] = 0
        return margins


def ways(network, verifier):
    """The row of a verifier in `evaluate` and in `certify`."""
    data = X, Y
    report = tfr.evaluate(network, data, {"mine": verifier}, **QUIET)
    proof = tfr.certify(network, data, {"mine": verifier}, verbose=0)
    return report["mine"], proof["mine"], proof.certificates


def test_a_verifier_that_works_eagerly_alone_is_evaluated(network):
    evaluated, certified, certificates = ways(network, Eager(THREAT))
    for row in (evaluated, certified):
        assert row.correct.tolist() == [True, False, True]
        assert row.finite and row.proven
    assert certificates["verdict"] == ["certified", "falsified", "certified"]
    np.testing.assert_allclose(
        certificates["margin"], [0.2, -0.1, 0.6], atol=1e-6
    )


def test_branch_and_bound_is_evaluated_as_it_certifies(network):
    search = tfr.verifiers.BranchAndBound(THREAT, timeout=5.0, restarts=1)
    evaluated, certified, certificates = ways(network, search)
    assert evaluated.correct.tolist() == certified.correct.tolist()
    assert certificates["verdict"] == ["certified", "falsified", "certified"]
    assert evaluated.proven and evaluated.epsilon == pytest.approx(0.1)


def test_a_verifier_that_fails_says_so(network):
    class Broken(Eager):
        def margins(self, model, x, y):
            raise ValueError("no bounds today")

    with pytest.raises(ValueError, match="no bounds today"):
        tfr.evaluate(network, (X, Y), {"mine": Broken(THREAT)}, **QUIET)


class Claims(tfr.Verifier):
    """Claims that everything is falsified, at points that are given."""

    def __init__(self, threat, point):
        self.threat, self.point = threat, point

    def margins(self, model, x, y):
        raise NotImplementedError

    def decide(self, model, x, y):
        nothing = tf.zeros(tf.shape(y), tf.bool)
        margin = tf.fill(tf.shape(y), -np.inf)
        point = None
        if self.point is not None:
            point = tf.tile([self.point], [tf.shape(x)[0], 1])
        return Decision(nothing, ~nothing, margin, point)


class Idle(tfr.Attack):
    """Finds nothing, and leaves the word to the verifier."""

    def __init__(self, threat):
        self.threat = threat

    def _perturb(self, model, x, y, start, step):
        return x


@pytest.mark.parametrize(
    "point, verdict",
    [
        ([0.52, 0.5], "falsified"),
        ([0.48, 0.5], "unknown"),  # The network gets it right.
        ([0.9, 0.5], "unknown"),  # Outside of the threat.
        (None, "unknown"),
    ],
)
def test_a_counterexample_counts_once_a_fresh_forward_confirms_it(
    network, point, verdict
):
    claims, data = Claims(THREAT, point), (X[1:2], Y[1:2])
    report = tfr.certify(network, data, claims, attack=Idle(THREAT), verbose=0)
    assert report.certificates["verdict"] == [verdict]


def test_the_ladder_traces_a_network_once(network, counted):
    ladder = tfr.verifiers.ladder(THREAT, timeout=1.0)
    report = tfr.certify(network, (X, Y), ladder, verbose=0)
    assert report["alphacrown"].accuracy == pytest.approx(2 / 3)
    assert counted.calls == 1


def test_an_evaluation_traces_a_network_once(network, counted):
    adversaries = {
        "pgd": tfr.attacks.PGD(THREAT, steps=2),
        "crown": tfr.verifiers.CROWN(THREAT),
    }
    tfr.evaluate(network, (X, Y), adversaries, diagnostic_examples=3, verbose=0)
    assert counted.calls == 1


def test_what_calls_functions_or_hoists_is_seen_whole():
    inner = tf.function(lambda x: x @ tf.eye(4), autograph=False)
    hoisting = keras.Sequential(
        [keras.Input((4,)), tfr.layers.SparseBinaryDense(3, density=0.5)]
    )
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    for model, seen in [
        (lambda x, training=False: tf.matmul(inner(x), tf.eye(4)), True),
        (hoisting, True),
        (plain, False),
    ]:
        found = Network(model, (4,))
        outer = tf.function(lambda x, f=found: f(x), autograph=False)
        graph = outer.get_concrete_function(tf.TensorSpec([None, 4])).graph
        kinds = [op.type for op in graph.get_operations()]
        assert ("MatMul" in kinds) == seen
        x = np.ones([2, 4], np.float32)
        np.testing.assert_allclose(found(x), model(x), rtol=1e-6)


def test_what_nothing_is_left_for_is_never_traced(network, monkeypatch):
    traced = []

    def noting(name):
        original = getattr(Runner, name)

        def noted(self, *inputs):
            traced.append(type(self.adversary).__name__)
            return original(self, *inputs)

        monkeypatch.setattr(Runner, name, noted)

    noting("_attacked")
    noting("_decided")
    fooled = X[1:2], Y[1:2]
    attacks = tfr.attacks.AutoAttack(THREAT)
    tfr.evaluate(network, fooled, {"aa": attacks}, **QUIET)
    assert traced == ["NoneType", "APGD"]
    traced.clear()
    tfr.certify(
        network, (X[:1], Y[:1]), tfr.verifiers.ladder(THREAT), verbose=0
    )
    # The first verifier before all else, so that it is refused in time.
    assert traced == ["IBP", "NoneType", "PGD"]


@pytest.mark.parametrize("kept", [0, 5])
def test_no_batch_outlives_its_turn(network, kept, monkeypatch):
    """Of 3 batches of 4 the first examples stay, and nothing else."""
    x = np.linspace(0, 1, 24, dtype=np.float32).reshape(12, 2)
    y = (x[:, 0] > 0.5).astype(np.int64)
    alive = []

    def batches():
        for begin in range(0, 12, 4):
            yield x[begin : begin + 4], y[begin : begin + 4, np.newaxis]

    begin = run_module.Run._begin

    def noted(self, x, y):
        found = begin(self, x, y)
        alive.append(weakref.ref(found[0]))
        return found

    monkeypatch.setattr(run_module.Run, "_begin", noted)
    source = type("Source", (), {"name": "", "add": lambda *_: None})()
    run = run_module.Run(
        network, {}, source, State(None, []), lambda _: [], kept=kept
    )
    run.over(batches(), 3, verbose=0)
    gc.collect()
    assert [batch() is None for batch in alive] == [True] * 3
    held = sum(np.asarray(pair[0]).nbytes for pair in run._first)
    assert held == 8 * kept
    assert all(part.base is None for pair in run._first for part in pair)
    if kept:
        np.testing.assert_array_equal(run.first()[0], x[:kept])


def test_a_small_memory_shrinks_the_batches_of_branch_and_bound(network):
    search = tfr.verifiers.BranchAndBound(THREAT, batch_size=64)
    cost = search.cost(network, (2,))
    for memory, expected in [(2**40, (64, 8)), (3 * cost, (3, 3))]:
        runner = Runner(network, search, (2,), memory=memory)
        examples = runner.size
        assert (runner.adversary.batch_size, examples) == expected
    with pytest.raises(ValueError, match="BranchAndBound takes about"):
        _ = Runner(network, search, (2,), memory=1).size


def test_a_counter_collected_while_a_graph_is_made_adds_no_op_to_it():
    held = [Counter(lambda x, training=False: x)]

    def collecting(x):
        held.clear()
        gc.collect()
        return x + 1.0

    made = tf.function(collecting, autograph=False)
    graph = made.get_concrete_function(tf.TensorSpec([1])).graph
    kinds = [op.type for op in graph.get_operations()]
    assert not held and "DestroyResourceOp" not in kinds


def test_an_argument_named_like_ours_is_the_users_own(network):
    class Sampled(Eager):
        def __init__(self, threat, batch_size):
            super().__init__(threat)
            self.batch_size, self.batches = batch_size, []

        def margins(self, model, x, y):
            if tf.executing_eagerly():
                self.batches.append(len(x))
            return super().margins(model, x, y)

    verifier = Sampled(THREAT, batch_size=7)
    tfr.evaluate(network, (X, Y), {"mine": verifier}, **QUIET)
    assert verifier.batches == [3]


def test_branch_and_bound_makes_its_own_batches_smaller():
    search = tfr.verifiers.BranchAndBound(THREAT, batch_size=64)
    smaller, examples = search.within(3)
    assert (smaller.batch_size, examples) == (3, 3)
    larger, examples = search.within(100)
    assert (larger.batch_size, examples) == (64, 8)
    assert tfr.verifiers.IBP(THREAT).within(3)[1] == 3


@pytest.mark.parametrize("largest, rewritten", [(16, False), (17, True)])
def test_graphs_of_few_examples_hardly_get_rewritten(
    network, largest, rewritten
):
    runner, seen = Runner(network, None, (2,), largest=largest), []
    function = runner._function

    def noted(*inputs):
        seen.append(tf.config.optimizer.get_experimental_options())
        return function(*inputs)

    runner._function = noted
    for _ in range(2):
        assert runner(X, Y)["correct"].tolist() == [True, True, True]
    assert [found.get("remapping", True) for found in seen] == [rewritten] * 2
