"""Certifying a model over a whole dataset."""

import contextlib
import pathlib
import time
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.adversary import Verifier
from tfrobust.attacks import PGD
from tfrobust.evaluation import diagnostics
from tfrobust.evaluation.provenance import Provenance
from tfrobust.evaluation.report import Report, Row
from tfrobust.evaluation.runner import Runner
from tfrobust.evaluation.served import Served
from tfrobust.evaluation.state import State
from tfrobust.model import RobustModel
from tfrobust.verifiers.coverage import coverage

CERTIFIED, FALSIFIED, UNKNOWN = "certified", "falsified", "unknown"
VERDICTS = ("correct", "inside", "norm")  # What is read of a point.


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
            and integer labels `[n]`.
        verifiers: A `Verifier`, or several of one threat from cheap to tight,
            such as `tfr.verifiers.ladder(threat)`.
        attack: The `Attack`; None takes PGD on the margin, 40 steps, twice.
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
    verifiers = _checked(verifiers)
    threat = verifiers[0].threat
    network: Any = model
    weights: contextlib.AbstractContextManager = contextlib.nullcontext()
    if isinstance(model, (str, pathlib.Path)):
        network = Served(model)
    elif isinstance(model, RobustModel):
        network, weights = model.network, model.averaged()
    attack = attack or PGD(threat, steps=40, restarts=2, loss="margin")
    x, y = data
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(
            "`data` must hold as many labels as inputs, at least one. "
            f"Received: {len(x)} inputs and {len(y)} labels."
        )
    threat.checked(x)
    x = np.asarray(x, np.float32)
    y = np.reshape(np.asarray(y), [len(y), -1])
    with weights:
        logits = network(x[:1], training=False)
        y = np.asarray(checks.labels(y, tf.zeros([len(x), logits.shape[-1]])))
        source = Provenance(network, name, dataset)
        source.add(x, y)
        run = _Run(network, attack, verifiers, x, y, memory)
        kept = State(state, source.info(len(x)), [attack, *verifiers])
        return run.report(source, kept, verbose)


class _Run:
    """The stages of one certification: clean, attack, each verifier."""

    def __init__(self, network, attack, verifiers, x, y, memory):
        self.network, self.x, self.y = network, x, y
        self.attack, self.verifiers = attack, verifiers
        self.sizes = [
            _batch_size(network, verifier, x.shape[1:], memory)
            for verifier in verifiers
        ]

    def report(self, source, kept, verbose):
        clean = Runner(self.network, None, self.x.shape[1:])
        attacked = Runner(self.network, self.attack, self.x.shape[1:])
        count = len(self.x)
        verdict = np.full(count, UNKNOWN, dtype="<U9")
        margin = np.full(count, -np.inf, np.float32)
        rows = []
        right = self._answers(clean, np.arange(count), kept, "clean", verbose)
        rows.append(_row("clean", right["correct"], clean))
        standing = np.flatnonzero(right["correct"])
        found = self._answers(attacked, standing, kept, "attack", verbose)
        survived = np.zeros(count, bool)
        survived[standing] = found["correct"]
        fooled = standing[~found["correct"] & found["inside"]]
        verdict[~right["correct"]] = FALSIFIED
        verdict[fooled] = FALSIFIED
        rows.append(_row(_name(self.attack), survived, attacked))
        rows[-1].largest_norm = float(np.max(found["norm"], initial=0.0))
        certified, contradicted = np.zeros(count, bool), 0
        for verifier, size in zip(self.verifiers, self.sizes, strict=True):
            label = _name(verifier)
            # The first also bounds what the attack fooled: a certificate there
            # would show that one of both is wrong.
            first = verifier is self.verifiers[0]
            todo = standing if first else np.flatnonzero(verdict == UNKNOWN)
            begin = time.perf_counter()
            least = self._margins(verifier, size, todo, kept, label, verbose)
            margin[todo] = np.maximum(margin[todo], least)
            proven = todo[least > 0]
            contradicted += int(np.sum(verdict[proven] == FALSIFIED))
            proven = proven[verdict[proven] == UNKNOWN]
            verdict[proven], certified[proven] = CERTIFIED, True
            row = _row(label, certified.copy(), None, verifier)
            row.seconds = time.perf_counter() - begin
            rows.append(row)
        checked = diagnostics.of_certificates(found["inside"], contradicted)
        epsilon = float(np.max(self.attack.threat.epsilon))
        rows.append(Row("worst case", certified, epsilon=epsilon))
        certificates = {
            "verdict": verdict.tolist(),
            "margin": [float(m) if np.isfinite(m) else None for m in margin],
        }
        info = source.info(count)
        return Report(rows, {}, checked, {}, info, certificates)

    def _answers(self, runner, index, kept, stage, verbose):
        def run(part):
            answer = runner(self.x[part], self.y[part])
            return {name: answer[name] for name in VERDICTS}

        return kept.batches(run, index, 128, stage, verbose)

    def _margins(self, verifier, size, index, kept, stage, verbose):
        true = self.y[:, np.newaxis]

        @tf.function(autograph=False)
        def bounded(x, y):
            return verifier.margins(self.network, x, y)

        compiled = None

        def run(part):
            nonlocal compiled
            if compiled is None:
                compiled = bounded.get_concrete_function(
                    tf.TensorSpec([None, *self.x.shape[1:]]),
                    tf.TensorSpec([None], tf.int64),
                )
            x, y = tf.constant(self.x[part]), tf.constant(self.y[part])
            margins = np.array(compiled(x, tf.cast(y, tf.int64)))
            np.put_along_axis(margins, true[part], np.inf, axis=1)
            # NaN compares false with everything: never a certificate.
            least = np.min(margins, axis=1)
            return {"least": np.where(np.isfinite(least), least, -np.inf)}

        return kept.batches(run, index, size, stage, verbose)["least"]


def _batch_size(network, verifier, shape, memory):
    """How many examples may be bounded at once."""
    found = coverage(network, verifier, shape)
    if not found.complete:
        raise NotImplementedError(" ".join(found.problems))
    if found.bytes_per_example > memory:
        raise ValueError(
            f"`memory` must allow one example, for which {_name(verifier)} "
            f"takes about {found.bytes_per_example:,} bytes. Received: "
            f"memory={memory:,}. Allow more, or choose a cheaper verifier."
        )
    return int(min(256, memory // max(1, found.bytes_per_example)))


def _checked(verifiers):
    listed = [verifiers] if isinstance(verifiers, Verifier) else list(verifiers)
    if not listed or not all(isinstance(v, Verifier) for v in listed):
        raise TypeError(
            "`verifiers` must be a verifier or a list of them, such as "
            f"tfr.verifiers.CROWN(threat). Received: {verifiers!r}"
        )
    if len({repr(verifier.threat) for verifier in listed}) > 1:
        raise ValueError(
            "`verifiers` must share one threat. Received: "
            f"{[verifier.threat for verifier in listed]}"
        )
    if listed[0].schedules():
        raise ValueError(
            "`verifiers` need one fixed strength. Received a schedule for "
            f"{listed[0].schedules()}. Pass a number, such as "
            "threat.replace(epsilon=0.3)."
        )
    return listed


def _name(adversary):
    return type(adversary).__name__.lower()


def _row(name, correct, runner, verifier=None):
    adversary = verifier or runner.adversary
    row = Row(name, correct, adversary=repr(adversary) if adversary else "")
    if adversary:
        row.order = adversary.threat.order
        row.epsilon = float(np.max(adversary.threat.epsilon))
    if runner:
        row.forwards, row.backwards = runner.passes()
        row.seconds = runner.seconds
    return row
