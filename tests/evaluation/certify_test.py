"""Certifying a whole dataset: verdicts, resuming, memory, refusals."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tfrobust.backend import keras
from tfrobust.evaluation.runner import Runner

THREAT = tfr.threats.Linf(0.1)


@pytest.fixture(scope="module")
def problem():
    """A line that parts two classes, as a network, and points around it."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((2,), name="point"),
            keras.layers.Dense(4, activation="relu"),
            keras.layers.Dense(2),
        ]
    )
    # relu(t) - relu(-t) = t, with t = x0 - 0.5.
    network.set_weights(
        [
            np.array([[1, -1, 0, 0], [0, 0, 0, 0]], np.float32),
            np.array([-0.5, 0.5, 0, 0], np.float32),
            np.array([[-1, 1], [1, -1], [0, 0], [0, 0]], np.float32),
            np.zeros(2, np.float32),
        ]
    )
    x = np.array(
        [[0.3, 0.2], [0.45, 0.9], [0.55, 0.5], [0.9, 0.0], [0.2, 0.1]],
        np.float32,
    )
    return network, x, np.array([0, 0, 1, 1, 1])


def verdicts(report):
    return report.certificates["verdict"]


def failed(report):
    return [check.name for check in report.checks if check.state == "FAILED"]


EXPECTED = ["certified", "falsified", "falsified", "certified", "falsified"]


def certify(problem, *arguments, **options):
    network, x, y = problem
    verifiers = arguments or (tfr.verifiers.ladder(THREAT),)
    return tfr.certify(network, (x, y), *verifiers, verbose=0, **options)


@pytest.fixture(scope="module")
def report(problem):
    """What the whole ladder finds."""
    return certify(problem)


def test_verdicts_are_those_of_the_line(report):
    assert verdicts(report) == EXPECTED
    # Of five examples, four right may be chance.
    assert failed(report) == ["enough_examples", "chance"]
    assert report["worst case"].accuracy == pytest.approx(0.4)
    accuracies = [row.accuracy for row in report.rows]
    assert accuracies[0] == pytest.approx(0.8)
    assert accuracies[1] == pytest.approx(0.4)
    assert accuracies[2:] == sorted(accuracies[2:])
    margin = report.certificates["margin"]
    # The distance to the line less epsilon, on a margin of slope 2.
    assert margin[0] == pytest.approx(2 * 0.1, abs=1e-4)
    assert margin[3] == pytest.approx(2 * 0.3, abs=1e-4)
    assert margin[4] is None


def test_the_report_is_saved_with_its_certificates(report, tmp_path):
    report.save(tmp_path / "report")
    stored = json.loads((tmp_path / "report/report.json").read_text())
    assert stored["certificates"]["verdict"] == EXPECTED
    assert "crown" in (tmp_path / "report/report.html").read_text()


def test_a_savedmodel_on_disk_gives_the_same_verdicts(problem, tmp_path):
    network, x, y = problem
    tfr.export(network, tmp_path)
    report = tfr.certify(
        tmp_path / "1", (x, y), tfr.verifiers.CROWN(THREAT), verbose=0
    )
    assert verdicts(report) == EXPECTED


def test_a_run_goes_on_where_it_was_interrupted(problem, tmp_path, monkeypatch):
    state = tmp_path / "state.npz"
    call = Runner.__call__

    def interrupted(self, *arguments):
        if isinstance(self.adversary, tfr.Verifier):
            raise KeyboardInterrupt
        return call(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Runner, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            certify(problem, tfr.verifiers.CROWN(THREAT), state=state)
    assert state.exists()
    # What was known is not run again.
    monkeypatch.setattr(Runner, "_attacked", None)
    report = certify(problem, tfr.verifiers.CROWN(THREAT), state=state)
    assert verdicts(report) == EXPECTED
    # Nor does a smaller batch of bounds.
    monkeypatch.setattr(Runner, "__call__", None)
    again = certify(
        problem, tfr.verifiers.CROWN(THREAT), state=state, memory=2_000
    )
    assert again.certificates == report.certificates
    assert again["pgd"].forwards == report["pgd"].forwards > 0


def test_two_verifiers_of_a_class_are_told_apart(problem, tmp_path):
    loose = tfr.verifiers.AlphaCROWN(THREAT, steps=1)
    tight = tfr.verifiers.AlphaCROWN(THREAT, steps=2)
    report = certify(problem, [loose, tight], state=tmp_path / "state.npz")
    names = [row.name for row in report.rows]
    assert names[2:-1] == ["alphacrown", "alphacrown-2"]


def test_branch_and_bound_closes_what_bounds_leave_open(problem):
    network, _, _ = problem
    x = np.array([[0.3, 0.2]], np.float32)
    # IBP adds both halves of relu(t) - relu(-t) up, and is left with nothing.
    threat = tfr.threats.Linf(0.19)
    loose, exact = (
        tfr.certify(network, (x, [0]), verifiers, verbose=0)
        for verifiers in (
            tfr.verifiers.FastLin(threat),
            tfr.verifiers.ladder(threat, timeout=5.0)[-1],
        )
    )
    assert verdicts(exact) == ["certified"]
    assert exact.rows[2].name == "branchandbound"
    assert verdicts(loose) == ["certified"]


def test_data_may_come_as_a_dataset(problem):
    network, x, y = problem
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(2)
    crown = tfr.verifiers.CROWN(THREAT)
    assert verdicts(tfr.certify(network, data, crown, verbose=0)) == EXPECTED


def test_the_state_of_another_run_is_refused(problem, tmp_path):
    state = tmp_path / "state.npz"
    certify(problem, tfr.verifiers.IBP(THREAT), state=state)
    with pytest.raises(ValueError, match="which another run wrote"):
        other = tfr.verifiers.IBP(tfr.threats.Linf(0.2))
        certify(problem, other, state=state)


def test_memory_makes_batches_smaller_and_too_little_is_refused(problem):
    small = certify(problem, tfr.verifiers.CROWN(THREAT), memory=2_000)
    assert verdicts(small) == EXPECTED
    with pytest.raises(ValueError, match="`memory` must allow one example"):
        certify(problem, tfr.verifiers.CROWN(THREAT), memory=10)


def test_a_certificate_that_an_attack_contradicts_is_an_alarm(
    problem, monkeypatch
):
    def wrong(self, bounds, specification):
        return tf.ones(tf.shape(specification.tensor)[:2])

    monkeypatch.setattr(tfr.verifiers.IBP, "lower", wrong)
    report = certify(problem, tfr.verifiers.IBP(THREAT))
    assert not report.reliable
    assert "ordered" in failed(report)
    assert "contradicted by an attack" in report.reasons[-1]
    assert verdicts(report)[1] == "falsified"


class Far(tfr.Attack):
    """Answers with points that lie outside of its threat."""

    def __init__(self, threat):
        self.threat = threat

    def _perturb(self, model, x, y, start, step):
        return tf.concat([1 - x[:, :1], x[:, 1:]], axis=1)


def test_a_point_outside_of_the_threat_falsifies_nothing(problem):
    report = certify(problem, tfr.verifiers.IBP(THREAT), attack=Far(THREAT))
    # The first and the fourth err at their points, but too far away.
    assert verdicts(report) == EXPECTED
    assert "in_threat" in failed(report)


def test_nan_is_never_a_certificate(problem, monkeypatch):
    def broken(self, bounds, specification):
        return np.nan * tf.ones(tf.shape(specification.tensor)[:2])

    monkeypatch.setattr(tfr.verifiers.IBP, "lower", broken)
    report = certify(problem, tfr.verifiers.IBP(THREAT))
    assert verdicts(report)[0] == "unknown"
    assert any(r.startswith("finite: ") for r in report.reasons)


class Said(tfr.Verifier):
    """Margins of three classes as they are given."""

    def __init__(self, threat, margins):
        self.threat, self.given = threat, margins

    def _arguments(self):
        return {"threat": self.threat, "margins": self.given}

    def margins(self, model, x, y):
        return tf.tile(tf.constant([self.given]), [tf.shape(x)[0], 1])


@pytest.mark.parametrize(
    "margins, proven, finite",
    [
        ([0.0, 0.1, 0.2], True, True),
        ([0.0, np.inf, 0.2], False, False),
        ([0.0, np.nan, 0.2], False, False),
        ([np.nan, 0.1, 0.2], False, False),
        # What is unbounded, and a tie, are answers that prove nothing.
        ([0.0, -np.inf, 0.2], False, True),
        ([0.0, 0.0, 0.2], False, True),
    ],
)
def test_only_positive_numbers_prove_anything(margins, proven, finite):
    x, y = np.full((4, 3), 0.5, np.float32), np.zeros(4, int)

    def model(x, training=False):
        return x * tf.constant([1.0, 0.0, 0.0])

    said = Said(tfr.threats.Linf(0.01), margins)
    options = {"diagnostic_examples": 0, "verbose": 0}
    for report in (
        tfr.certify(model, (x, y), said, verbose=0),
        tfr.evaluate(model, (x, y), {"said": said}, **options),
    ):
        assert report["said"].accuracy == proven
        assert report["said"].finite == finite
        unsound = [r for r in report.reasons if r.startswith("finite: ")]
        assert len(unsound) == (not finite)


def test_logits_that_are_no_numbers_are_wrong_and_told():
    def broken(x, training=False):
        return x * tf.constant([np.inf, 1.0, 0.0])

    data = np.full((4, 3), 0.5, np.float32), np.zeros(4, int)
    said = Said(THREAT, [0.0, 0.1, 0.2])
    report = tfr.certify(broken, data, said, verbose=0)
    assert verdicts(report) == ["falsified"] * 4
    assert report["clean"].accuracy == 0.0
    (reason,) = (r for r in report.reasons if r.startswith("finite"))
    assert "Logits or margins under ['clean'] hold NaN" in reason


def test_what_cannot_be_certified_is_refused_in_one_sentence(problem, tmp_path):
    network, x, y = problem
    crown = tfr.verifiers.CROWN(THREAT)
    softmax = keras.Sequential([network, keras.layers.Softmax()])
    for model, data, verifiers, sentence in [
        (softmax, (x, y), crown, "Return the logits"),
        (network, (x, y[:2]), crown, "as many labels as inputs"),
        (network, (x + 1, y), crown, "valid range"),
        (network, (x * np.nan, y), crown, "hold no NaN"),
        (network, (x, y + 5), crown, "class labels"),
        (network, (x, y), [], "at least one verifier"),
        (network, (x, y), [tfr.attacks.PGD(THREAT)], "must be a verifier"),
        (network, (x, y), THREAT, "dictionary by name"),
    ]:
        with pytest.raises(
            (ValueError, TypeError, NotImplementedError), match=sentence
        ):
            tfr.certify(model, data, verifiers, verbose=0)
    module = tf.Module()
    module.f = tf.function(
        lambda x: x, input_signature=[tf.TensorSpec([None, 2])]
    )
    tf.saved_model.save(module, str(tmp_path), signatures={"other": module.f})
    with pytest.raises(ValueError, match=r"It has: \['other'\]"):
        tfr.certify(tmp_path, (x, y), crown, verbose=0)


def test_threats_that_print_alike_are_told_apart(problem):
    network, x, y = problem
    wide = np.zeros([1, 2000], np.float32)
    masks = [wide.copy(), wide.copy()]
    for at, mask in enumerate(masks, 1000):
        mask[0, at] = 1
    one, other = (THREAT.replace(mask=mask) for mask in masks)
    assert repr(one) == repr(other)
    verifiers = [tfr.verifiers.IBP(one), tfr.verifiers.CROWN(other)]
    with pytest.raises(ValueError, match="share one threat, mask and all"):
        certify(problem, verifiers)
    # What an attack finds outside of the threat shows nothing.
    attack = tfr.attacks.PGD(tfr.threats.Linf(0.2))
    with pytest.raises(ValueError, match="and for 'pgd' Linf"):
        certify(problem, tfr.verifiers.IBP(THREAT), attack=attack)


def test_verifiers_may_have_names_but_none_of_ours(problem):
    network, x, y = problem
    report = certify(problem, {"cheap": tfr.verifiers.IBP(THREAT)})
    assert [row.name for row in report.rows][2:-1] == ["cheap"]
    for name, sentence in [("clean", "row of every"), ("pgd", "differ from")]:
        with pytest.raises(ValueError, match=sentence):
            certify(problem, {name: tfr.verifiers.IBP(THREAT)})
