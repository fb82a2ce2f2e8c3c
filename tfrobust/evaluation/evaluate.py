"""Evaluating a model under attack over a whole dataset."""

import contextlib

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
from tfrobust.model import RobustModel
from tfrobust.plan import check_adversary

CURVE = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
PICTURES = 10


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
    network, weights = model, contextlib.nullcontext()
    if isinstance(model, RobustModel):
        network, weights = model.network, model.averaged()
    with weights:
        run = _Run(network, adversaries, Provenance(network, name, dataset))
        batches, total = _batches(data, batch_size)
        bar = keras.utils.Progbar(total, verbose=verbose)
        for x, y in batches:
            run.add(np.asarray(x), np.reshape(y, [len(y), -1]))
            bar.add(1)
        return run.report(curve, diagnostic_examples)


class _Run:
    """Collects the answers to one batch after the other."""

    def __init__(self, network, adversaries, source):
        self.network, self.adversaries = network, adversaries
        self.source = source
        self.runners, self.answers = {}, {}
        self.pictures, self.kept = {}, []

    def add(self, x, y):
        """Runs every adversary on one batch; `y` has shape `[batch, 1]`."""
        for adversary in self.adversaries.values():
            adversary.threat.checked(x)
        if not self.runners:
            self._begin(x)
        y = np.asarray(checks.labels(y, tf.zeros([len(x), self.classes])))
        clean = None
        for name, runner in self.runners.items():
            answer = runner(x, y)
            clean = clean or answer
            if not self.answers[name]:
                self.pictures[name] = _pictures(answer, y)
            kept = {k: answer[k] for k in ("norm", "inside", "finite")}
            kept["correct"] = answer["correct"] & clean["correct"]
            self.answers[name].append(kept)
        self.source.add(x, y)
        self.kept.append((x, y))

    def report(self, curve, count):
        """Sums up, and runs the curve and the diagnostics on `count` examples."""
        if not self.runners:
            raise ValueError("`data` must hold at least one example.")
        rows = [self._row(name) for name in self.runners]
        worst = np.all([row.correct for row in rows], axis=0)
        radii = {row.epsilon for row in rows if row.epsilon is not None}
        epsilon = radii.pop() if len(radii) == 1 else None
        rows.append(Row("worst case", worst, epsilon=epsilon))
        x, y = (
            np.concatenate(part)[:count]
            for part in zip(*self.kept, strict=True)
        )
        found = diagnostics.of_rows(rows)
        curves = {}
        if count:
            curves = self._curves(curve, x, y)
            found += diagnostics.of_curves(curves)
            attack = diagnostics.strongest(list(self.adversaries.values()))
            found += diagnose(self.network, attack, x, y, worst[:count])
        else:
            found.append(diagnostics.NOT_RUN)
        weakest = min(rows[1:-1], key=lambda row: row.accuracy).name
        images = {
            "clean": self.pictures["clean"],
            weakest: self.pictures[weakest],
        }
        return Report(rows, curves, found, images, self.source.info(len(worst)))

    def _begin(self, x):
        self.classes = self.network(x[:1], training=False).shape[-1]
        for name, adversary in {"clean": None, **self.adversaries}.items():
            self.runners[name] = Runner(self.network, adversary, x.shape[1:])
            self.answers[name] = []

    def _row(self, name):
        runner, answers = self.runners[name], self.answers[name]
        answer = {
            key: np.concatenate([a[key] for a in answers]) for key in answers[0]
        }
        threat = runner.adversary.threat if runner.adversary else None
        forwards, backwards = runner.passes()
        return Row(
            name,
            answer["correct"],
            adversary=repr(runner.adversary or ""),
            order=threat and threat.order,
            epsilon=threat and float(np.max(threat.epsilon)),
            largest_norm=float(answer["norm"].max()),
            inside=bool(answer["inside"].all()),
            finite=bool(answer["finite"].all()),
            forwards=forwards,
            backwards=backwards,
            seconds=runner.seconds,
        )

    def _curves(self, multiples, x, y):
        curves = {}
        for name, adversary in self.adversaries.items():
            if not isinstance(adversary, Attack):
                continue
            runner = Runner(self.network, adversary, x.shape[1:])
            clean = Runner(self.network, None, x.shape[1:])(x, y)["correct"]
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


def _pictures(answer, y):
    return {
        "label": y[:PICTURES].tolist(),
        "point": answer["point"][:PICTURES],
        "predicted": answer["predicted"][:PICTURES].tolist(),
    }
