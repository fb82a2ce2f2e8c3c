"""Certifying a model over a whole dataset."""

import numpy as np

from tfrobust.adversary import Verifier, named
from tfrobust.attacks import PGD
from tfrobust.backend import keras
from tfrobust.evaluation import diagnostics
from tfrobust.evaluation.adversaries import check
from tfrobust.evaluation.batches import check_pair, labelled
from tfrobust.evaluation.identity import identity
from tfrobust.evaluation.judged import judged
from tfrobust.evaluation.provenance import Provenance
from tfrobust.evaluation.prover import Prover
from tfrobust.evaluation.report import Report, Row
from tfrobust.evaluation.runner import Runner
from tfrobust.evaluation.stage import Stage
from tfrobust.evaluation.state import State
from tfrobust.evaluation.usefulness import counted, of_answers

CERTIFIED, FALSIFIED, UNKNOWN = "certified", "falsified", "unknown"
BATCH = 128


def certify(
    model,
    data,
    verifiers,
    attack=None,
    memory=2**30,
    state=None,
    name=None,
    dataset=None,
    verbose=1,
):
    """Proves what can be proven of a model's robustness, example by example.

    An attack first looks for counterexamples; a prediction that is wrong
    already is one. The verifiers then run from first to last, each on what is
    still open. A verdict is "certified", "falsified" (with a point that a
    fresh forward pass confirmed) or "unknown".

    Args:
        model: A `RobustModel` (its averaged weights, if it has any), a Keras
            model, any callable `model(x, training=False) -> logits`, or the
            folder of a SavedModel whose signature `serving_default` returns
            `logits`: then what is certified is the file on disk.
        data: A pair of arrays: inputs `[n, ...]` in the threat's valid range
            and integer labels `[n]`; or a batched `tf.data.Dataset` of them.
        verifiers: A `Verifier`, or several of one threat from cheap to tight,
            a list or by name, such as `tfr.verifiers.ladder(threat)`.
        attack: The `Attack`, of the same threat; None takes PGD on the
            margin, 40 steps, twice.
        memory: How many bytes a batch of bounds may take; batches are as
            large as the estimate of `verifiers.coverage` allows.
        state: A file in which to keep verdicts while it runs, so that a run
            that was killed goes on from there; None keeps none.
        name: Name of the model in the report.
        dataset: Name of the dataset in the report.
        verbose: 1 shows a progress bar, 0 is silent.

    Returns:
        A `Report` whose row "worst case" is what is proven, and whose
        `certificates` holds every verdict with its smallest margin, from
        which what rounding may have added is taken off.

    Raises:
        NotImplementedError: If an op of the network has no rule.
        ValueError: If an argument isn't as expected, one example exceeds the
            memory, or `state` belongs to another run.

    Example:
        `tfr.certify(model, (x, y), tfr.verifiers.ladder(threat))`
    """
    check_pair(data)
    adversaries = _checked(attack, verifiers)
    network, weights = judged(model)
    with weights:
        x, y = labelled(data, _threat(adversaries), network)
        source = Provenance(network, name, dataset)
        source.add(x, y)
        known = State(state, ["certify", source.weights(), adversaries])
        known.check_data(np.arange(len(x)), x, y)
        known.check_model(network, x[:4])
        run = _Run(network, adversaries, x, y, memory, known)
        return run.report(source, verbose)


class _Run:
    """The stages of one certification: clean, attack, each verifier."""

    def __init__(self, network, adversaries, x, y, memory, state):
        shape, self.x, self.y = x.shape[1:], x, y
        self.classes = network(x[:1], training=False).shape[-1]
        attack, *verifiers = adversaries.items()
        self.clean, self.attacked = (
            Stage(name, Runner(network, adversary, shape), state)
            for name, adversary in (("clean", None), attack)
        )
        self.provers = [
            Prover(name, verifier, network, shape, memory, state)
            for name, verifier in verifiers
        ]

    def report(self, source, verbose):
        count = len(self.x)
        everything = np.arange(count)
        clean = self._right(self.clean, everything, verbose)
        standing = np.flatnonzero(clean)
        survived = np.zeros(count, bool)
        survived[standing] = self._right(self.attacked, standing, verbose)
        rows = [
            stage.row(count, clean) for stage in (self.clean, self.attacked)
        ]
        # A point outside of the threat shows nothing.
        inside = np.ones(count, bool)
        inside[standing] = self.attacked.inside(standing)
        verdict = np.full(count, UNKNOWN, dtype="<U9")
        verdict[~clean | (~survived & inside)] = FALSIFIED
        margin = np.full(count, -np.inf, np.float32)
        contradicted = 0
        for prover in self.provers:
            # The first also bounds what the attack fooled: a certificate there
            # would show that one of both is wrong.
            first = prover is self.provers[0]
            todo = standing if first else np.flatnonzero(verdict == UNKNOWN)
            least, wrong = self._bounded(prover, todo, verbose)
            margin[todo] = np.maximum(margin[todo], least)
            contradicted += int(np.sum(verdict[todo[least > 0]] == FALSIFIED))
            verdict[todo[wrong]] = FALSIFIED
            proven = todo[least > 0]
            verdict[proven[verdict[proven] == UNKNOWN]] = CERTIFIED
            rows.append(prover.row(verdict == CERTIFIED))
        classes = counted(self.y, self.clean.predicted(count), self.classes)
        checked = [
            *of_answers(rows[0], classes),
            *diagnostics.of_certificates(rows, inside, contradicted),
        ]
        worst = Row("worst case", verdict == CERTIFIED)
        worst.epsilon = rows[-1].epsilon
        certificates = {
            "verdict": verdict.tolist(),
            "margin": [float(m) if np.isfinite(m) else None for m in margin],
        }
        info = source.info(count)
        return Report(
            [*rows, worst], {}, checked, {}, info, certificates, classes
        )

    def _right(self, stage, index, verbose):
        def run(part):
            return (stage(self.x[part], self.y[part], part),)

        return _in_parts(run, index, BATCH, verbose)[0].astype(bool)

    def _bounded(self, prover, index, verbose):
        def run(part):
            return prover(self.x[part], self.y[part], part)

        least, wrong = _in_parts(run, index, prover.batch_size, verbose)
        return least, wrong.astype(bool)


def _in_parts(run, index, size, verbose):
    """Runs on some examples at a time, with a progress bar."""
    starts = range(0, len(index), size)
    bar = keras.utils.Progbar(len(starts), verbose=verbose)
    parts = [(np.zeros(0), np.zeros(0))]
    for begin in starts:
        parts.append(run(index[begin : begin + size]))
        bar.add(1)
    return [np.concatenate(some) for some in zip(*parts, strict=False)]


def _checked(attack, verifiers):
    """The attack and the verifiers by name, of one threat."""
    chosen = named(verifiers)
    for verifier in chosen.values():
        if not isinstance(verifier, Verifier):
            raise TypeError(
                "`verifiers` must be a verifier or a list of them, such as "
                f"tfr.verifiers.CROWN(threat). Received: {verifier!r}"
            )
    if not chosen:
        raise ValueError(
            "`verifiers` must hold at least one verifier, such as "
            "tfr.verifiers.CROWN(threat). Received: none."
        )
    threat = _threat(chosen)
    if attack is None:
        attack = PGD(threat, steps=40, restarts=2, loss="margin")
    adversaries = {**named([attack]), **chosen}
    if len(adversaries) == len(chosen):
        raise ValueError(
            "Names of `verifiers` must differ from that of the attack. "
            f"Received: {[*chosen]}. Choose others."
        )
    check(adversaries)
    for name, adversary in adversaries.items():
        if identity(adversary.threat) != identity(threat):
            raise ValueError(
                "The attack and the verifiers must share one threat, mask and "
                f"all. Received: {threat}, and for {name!r} {adversary.threat}."
            )
    return adversaries


def _threat(adversaries):
    return next(iter(adversaries.values())).threat
