"""Evaluating a model under attack over a whole dataset."""

import contextlib
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.adversary import Attack
from tfrobust.backend import keras
from tfrobust.evaluation import diagnostics
from tfrobust.evaluation.diagnosis import diagnose
from tfrobust.evaluation.provenance import Provenance
from tfrobust.evaluation.report import Report, Row
from tfrobust.evaluation.runner import Runner
from tfrobust.evaluation.subject import Subject
from tfrobust.model import RobustModel
from tfrobust.plan import check_adversary

CURVE = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
PICTURES = 10
VERDICTS = ("correct", "norm", "inside", "finite")


def evaluate(
    model,
    data,
    adversaries,
    batch_size=128,
    curve=CURVE,
    diagnostic_examples=256,
    name=None,
    dataset=None,
    verbose=1,
):
    """Evaluates a model under every adversary, and how far to believe it.

    An example counts as right under an adversary if it is right both clean
    and at the adversary's answer. Nothing depends on the batch size.

    Args:
        model: A `RobustModel` (its averaged weights, if it has any), a Keras
            model, or any callable `model(x, training=False) -> logits`.
        data: A pair of arrays: inputs `[n, ...]` in the threats' valid range
            and integer labels `[n]`; or a batched `tf.data.Dataset` of them.
        adversaries: Dictionary of name to `Adversary`.
        batch_size: Number of examples at a time, for arrays.
        curve: Multiples of epsilon for the accuracy-against-epsilon curve of
            each attack; empty for none.
        diagnostic_examples: How many examples, the first ones, the curve and
            the diagnostics run on. With 0 neither runs, and the report is
            marked unreliable.
        name: Name of the model in the report.
        dataset: Name of the dataset in the report.
        verbose: 1 shows a progress bar, 0 is silent.

    Returns:
        A `Report`: print it, or `save` it.

    Raises:
        ValueError: If inputs, labels or adversaries aren't as expected.
    """
    _check(adversaries)
    network: Any = model
    weights: contextlib.AbstractContextManager = contextlib.nullcontext()
    if isinstance(model, RobustModel):
        network, weights = model.network, model.averaged()
    with weights:
        source = Provenance(network, name, dataset)
        run = _Run(network, adversaries, source, diagnostic_examples)
        batches, total = _batches(data, batch_size)
        bar = keras.utils.Progbar(total, verbose=verbose)
        for x, y in batches:
            run.add(np.asarray(x), np.reshape(y, [len(y), -1]))
            bar.add(1)
        return run.report(sorted(curve))


class _Run:
    """Collects the answers to one batch after the other."""

    def __init__(self, network, adversaries, source, count):
        self.network, self.adversaries = network, adversaries
        self.source, self.count = source, count
        self.runners, self.answers, self.pictures = {}, {}, {}
        self.x, self.y, self.seen = [], [], 0

    def add(self, x, y):
        """Runs every adversary on one batch; `y` has shape `[batch, 1]`."""
        for adversary in self.adversaries.values():
            adversary.threat.checked(x)
        x = x.astype(np.float32)
        if not self.runners:
            self._begin(x)
        y = np.asarray(checks.labels(y, tf.zeros([len(x), self.classes])))
        room = max(0, PICTURES - self.seen)
        clean = None
        for name, runner in self.runners.items():
            answer = runner(x, y)
            clean = clean or answer
            answer["correct"] = answer["correct"] & clean["correct"]
            self.answers[name].append(_some(answer, VERDICTS))
            picture = _some(answer, ("point", "predicted"), room)
            self.pictures[name].append({**picture, "label": y[:room]})
        self.source.add(x, y)
        room = max(0, self.count - self.seen)
        self.x.append(x[:room])
        self.y.append(y[:room])
        self.seen += len(x)

    def report(self, curve):
        """Sums up, and runs the curve and the diagnostics."""
        if not self.runners:
            raise ValueError("`data` must hold at least one example.")
        rows = [self._row(name) for name in self.runners]
        worst = np.all([row.correct for row in rows], axis=0)
        radii = {row.epsilon for row in rows if row.epsilon is not None}
        epsilon = radii.pop() if len(radii) == 1 else None
        rows.append(Row("worst case", worst, epsilon=epsilon))
        curves, found = {}, diagnostics.of_rows(rows)
        if self.count:
            x, y = np.concatenate(self.x), np.concatenate(self.y)
            attack = diagnostics.strongest(list(self.adversaries.values()))
            curves = self._curves(curve, x, y)
            found += diagnostics.of_curves(curves, self.adversaries)
            standing = worst[: self.count]
            # Tracing takes longer than running: what is traced is used again.
            known = {r.adversary: r for r in self.runners.values()}
            subject = Subject(self.network, attack, x, y, standing, known)
            found += diagnose(subject)
        else:
            found.append(diagnostics.NOT_RUN)
        info = self.source.info(len(worst))
        return Report(rows, curves, found, self._images(rows), info)

    def _begin(self, x):
        self.classes = self.network(x[:1], training=False).shape[-1]
        for name, adversary in {"clean": None, **self.adversaries}.items():
            self.runners[name] = Runner(self.network, adversary, x.shape[1:])
            self.answers[name], self.pictures[name] = [], []

    def _row(self, name):
        runner, answer = self.runners[name], _joined(self.answers[name])
        adversary = runner.adversary
        threat = adversary.threat if adversary else None
        forwards, backwards = runner.passes()
        return Row(
            name,
            answer["correct"],
            adversary=repr(adversary) if adversary else "",
            order=threat and threat.order,
            epsilon=threat and float(np.max(threat.epsilon)),
            largest_norm=float(answer["norm"].max()),
            inside=bool(answer["inside"].all()),
            finite=bool(answer["finite"].all()),
            forwards=forwards,
            backwards=backwards,
            seconds=runner.seconds,
        )

    def _images(self, rows):
        """Clean examples, and what the strongest attack made of them."""
        shown = [
            row
            for row in rows
            if isinstance(self.adversaries.get(row.name), Attack)
        ]
        names = ["clean"]
        if shown:
            names.append(min(shown, key=lambda row: row.accuracy).name)
        return {name: _joined(self.pictures[name]) for name in names}

    def _curves(self, multiples, x, y):
        curves, clean = {}, self.runners["clean"](x, y)["correct"]
        for name, adversary in self.adversaries.items():
            if not isinstance(adversary, Attack):
                continue
            runner = self.runners[name]
            radius = np.asarray(adversary.threat.epsilon, np.float32)
            accuracies = [
                float(np.mean(clean & runner(x, y, m * radius)["correct"]))
                for m in multiples
            ]
            curves[name] = {
                "epsilon": [float(np.max(m * radius)) for m in multiples],
                "accuracy": accuracies,
                "examples": len(x),
            }
        return curves


def _check(adversaries):
    if not adversaries:
        raise ValueError(
            "`adversaries` must name at least one adversary, such as "
            f'{{"pgd": tfr.attacks.PGD(threat)}}. Received: {adversaries!r}'
        )
    for name, adversary in adversaries.items():
        if name in ("clean", "worst case"):
            raise ValueError(
                f"`adversaries` must not use the name {name!r}, which is a row "
                "of every report. Choose another."
            )
        check_adversary(name, adversary)
        if np.ndim(adversary.threat.epsilon) == 1:
            raise ValueError(
                "`evaluate` needs an epsilon that does not depend on the "
                f"example. Received: {name!r} with one for each of "
                f"{len(adversary.threat.epsilon)} examples."
            )


def _batches(data, batch_size):
    """Batches of `(x, y)`, and how many there are if that is known."""
    if isinstance(data, tf.data.Dataset):
        if data.element_spec[1].shape.rank == 0:
            raise ValueError(
                "`data` must come in batches: pass dataset.batch(128). "
                f"Received: {data.element_spec}"
            )
        total = int(data.cardinality())
        return data, total if total > 0 else None
    x, y = data
    if len(x) != len(y):
        raise ValueError(
            "`x` and `y` must have the same length. Received: "
            f"{len(x)} inputs and {len(y)} labels."
        )
    starts = range(0, len(x), batch_size)
    batches = ((x[i : i + batch_size], y[i : i + batch_size]) for i in starts)
    return batches, len(starts)


def _some(answer, names, count=None):
    return {name: answer[name][:count] for name in names}


def _joined(answers):
    """Concatenates batches of answers, name by name."""
    return {
        name: np.concatenate([answer[name] for answer in answers])
        for name in answers[0]
    }
