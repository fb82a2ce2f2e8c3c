"""Evaluating a model under attack over a whole dataset."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.adversary import Attack, named
from tfrobust.attacks import AutoAttack, Ensemble, Transfer
from tfrobust.backend import keras
from tfrobust.evaluation import diagnostics
from tfrobust.evaluation.adversaries import check, check_names, surrogates
from tfrobust.evaluation.batches import batches
from tfrobust.evaluation.diagnosis import diagnose
from tfrobust.evaluation.judged import judged
from tfrobust.evaluation.provenance import Provenance
from tfrobust.evaluation.report import Report, Row
from tfrobust.evaluation.runner import Runner
from tfrobust.evaluation.sequence import Sequence
from tfrobust.evaluation.stage import Stage
from tfrobust.evaluation.state import State
from tfrobust.evaluation.subject import Subject, has_gradient
from tfrobust.evaluation.usefulness import counted, of_answers

CURVE = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)


def evaluate(
    model,
    data,
    adversaries,
    batch_size=128,
    curve=CURVE,
    diagnostic_examples=256,
    state=None,
    name=None,
    dataset=None,
    verbose=1,
):
    """Evaluates a model under every adversary, and how far to believe it.

    An example counts as right under an adversary if it is right both clean
    and at the adversary's answer; in the worst case, if it withstands every
    attack and, should there be verifiers, one of them proves it. Of an
    ensemble, such as `AutoAttack`, each component runs on what the ones before
    it left standing, and has a row of its own. Nothing depends on the batch
    size.

    Args:
        model: A `RobustModel` (its averaged weights, if it has any), a Keras
            model, any callable `model(x, training=False) -> logits` (Python
            that branches on tensors inside a `tf.function`), or the path of a
            SavedModel's folder or of a LiteRT file.
        data: A pair of arrays: inputs `[n, ...]` in the threats' valid range
            and integer labels `[n]`; or a batched `tf.data.Dataset` of them.
        adversaries: Dictionary of name to `Adversary`; or one, or a list,
            named after the classes: `"pgd"`, `"pgd-2"` ...
        batch_size: Number of examples at a time, for arrays.
        curve: Multiples of epsilon for the accuracy-against-epsilon curve of
            each attack, an ensemble's being that of its first component;
            empty for none.
        diagnostic_examples: How many examples, the first ones, the curve and
            the diagnostics run on. With 0 neither runs, and the report is
            marked unreliable.
        state: A file in which to keep answers while it runs, so that a run
            that was killed goes on from there; None keeps none.
        name: Name of the model in the report.
        dataset: Name of the dataset in the report.
        verbose: 1 shows a progress bar, 0 is silent.

    Returns:
        A `Report`: print it, or `save` it.

    Raises:
        TypeError: If data is no pair, or `state` can't tell adversaries apart.
        ValueError: If inputs, labels or adversaries aren't as expected, or
            `state` belongs to another run.
    """
    parts, total = batches(data, batch_size)
    adversaries = named(adversaries)
    check(adversaries)
    network, weights = judged(model)
    with weights:
        source = Provenance(network, name, dataset)
        known = State(state, [source.weights(), adversaries])
        run = _Run(network, adversaries, source, known, diagnostic_examples)
        bar = None
        for x, y in parts:
            x, y = run.begin(x, y)
            bar = bar or keras.utils.Progbar(
                total and total * run.parts(), verbose=verbose
            )
            run.add(x, y, lambda bar=bar: bar.add(1))
        return run.report(sorted(curve))


class _Run:
    """Collects the answers to one batch after the other."""

    def __init__(self, network, adversaries, source, state, count):
        self.network, self.adversaries = network, adversaries
        self.source, self.state, self.count = source, state, count
        self.clean: Any = None
        self.sequences: list[Any] = []
        self.x, self.y, self.labels, self.seen = [], [], [], 0

    def begin(self, x, y):
        """Checks a batch; `y` has shape `[batch, 1]`."""
        for adversary in self.adversaries.values():
            adversary.threat.checked(x)
        x = x.astype(np.float32)
        if self.clean is None:
            logits = self.network(x[:1], training=False)
            self.shape, self.classes = x.shape[1:], logits.shape[-1]
        y = np.asarray(checks.labels(y, tf.TensorSpec([len(x), self.classes])))
        index = self.seen + np.arange(len(x))
        self.state.check_data(index, x, y)
        if self.clean is None:
            others = surrogates(self.adversaries.values())
            self.state.check_models([self.network, *others], x[:4])
            self.clean = self._stage("clean", None)
            self.sequences = [
                self._sequence(name, adversary)
                for name, adversary in self.adversaries.items()
            ]
            check_names(self.sequences)
        return x, y

    def parts(self):
        """How often `add` calls `done`."""
        return 1 + sum(len(s.stages) for s in self.sequences)

    def add(self, x, y, done):
        """Runs every adversary on one batch."""
        index = self.seen + np.arange(len(x))
        standing = self.clean(x, y, index)
        done()
        for sequence in self.sequences:
            sequence(x, y, index, standing, done)
        self.source.add(x, y)
        self.labels.append(y)
        room = max(0, self.count - self.seen)
        self.x.append(x[:room])
        self.y.append(y[:room])
        self.seen += len(x)

    def report(self, curve):
        """Sums up, and runs the curve and the diagnostics."""
        if self.clean is None:
            raise ValueError("`data` must hold at least one example.")
        rows = [self.clean.row(self.seen)]
        clean = rows[0].correct
        for sequence in self.sequences:
            rows += sequence.rows(self.seen, clean)
        worst = diagnostics.worst_case(rows)
        radii = {row.epsilon for row in rows if row.epsilon is not None}
        epsilon = radii.pop() if len(radii) == 1 else None
        rows.append(Row("worst case", worst, epsilon=epsilon))
        classes = counted(
            np.concatenate(self.labels),
            self.clean.predicted(self.seen),
            self.classes,
        )
        curves, found = {}, diagnostics.of_rows(rows)
        found += of_answers(rows[0], classes)
        found += [
            diagnostics.noted(sequence.name, sentence)
            for sequence in self.sequences
            for sentence in sequence.notes
        ]
        if self.count:
            x, y = np.concatenate(self.x), np.concatenate(self.y)
            curves = self._curves(curve, x, y, clean[: len(x)])
            found += diagnostics.of_curves(curves, self.adversaries)
            found += self._diagnosed(x, y, worst[: len(x)])
        else:
            found.append(diagnostics.NOT_RUN)
        info = self.source.info(len(worst))
        images = self._images(rows)
        return Report(rows, curves, found, images, info, classes=classes)

    def _stage(self, name, adversary, ensemble=None):
        runner = Runner(self.network, adversary, self.shape)
        return Stage(name, runner, self.state, ensemble)

    def _sequence(self, name, adversary):
        if not isinstance(adversary, (AutoAttack, Ensemble)):
            stages = [self._stage(name, adversary)]
            return Sequence(name, adversary, stages)
        parts = adversary.components(self.classes).items()
        stages = [
            self._stage(f"{name}: {part}", a, ensemble=name)
            for part, a in parts
        ]
        notes = adversary.notes(self.classes)
        return Sequence(name, adversary, stages, notes)

    def _images(self, rows):
        """Clean examples, and what the strongest attack made of them."""
        images = {"clean": self.clean.pictures(None)}
        accuracies = {row.name: row.accuracy for row in rows}
        shown = [s for s in self.sequences if isinstance(s.adversary, Attack)]
        if shown:
            best = min(shown, key=lambda sequence: accuracies[sequence.name])
            images[best.name] = best.pictures(self.clean)
        return images

    def _curves(self, multiples, x, y, clean):
        curves, index = {}, np.flatnonzero(clean)
        for sequence in self.sequences:
            if not isinstance(sequence.adversary, Attack):
                continue
            stage = sequence.stages[0]
            radius = float(np.max(stage.adversary.threat.epsilon))
            right = [
                np.sum(stage(x[index], y[index], index, multiple))
                for multiple in multiples
            ]
            curves[sequence.name] = {
                "epsilon": [multiple * radius for multiple in multiples],
                "accuracy": [int(count) / len(x) for count in right],
                "examples": len(x),
            }
        return curves

    def _diagnosed(self, x, y, standing):
        stages = [self.clean]
        for sequence in self.sequences:
            stages += sequence.stages
        attacks = [stage.adversary for stage in stages[1:]]
        surrogate = None
        if not has_gradient(self.network, x[:1]):
            moved = [a for a in attacks if isinstance(a, Transfer)]
            if not moved:
                return [diagnostics.NO_GRADIENT]
            surrogate = moved[0].surrogate
        subject = Subject(
            self.network,
            diagnostics.strongest(attacks),
            x,
            y,
            standing,
            # Tracing takes longer than running: what is traced is used again.
            runners={stage.adversary: stage.runner for stage in stages},
            surrogate=surrogate,
            randomised=any(getattr(a, "averages", 1) > 1 for a in attacks),
        )
        return diagnose(subject)
