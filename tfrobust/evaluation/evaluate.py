"""Evaluating a model under attack over a whole dataset."""

import os
from collections import abc
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.adversary import Adversary, named
from tfrobust.attack import Attack
from tfrobust.attacks import AutoAttack, Transfer
from tfrobust.evaluation import by_loss, diagnostics
from tfrobust.evaluation.adversaries import check, check_names, radius_of
from tfrobust.evaluation.batches import batches, most
from tfrobust.evaluation.chosen import chosen
from tfrobust.evaluation.diagnosis import diagnose
from tfrobust.evaluation.network import callable_of
from tfrobust.evaluation.provenance import Provenance
from tfrobust.evaluation.report import Report, Row
from tfrobust.evaluation.run import Run
from tfrobust.evaluation.sequence import Sequence
from tfrobust.evaluation.settings import settings
from tfrobust.evaluation.state import State
from tfrobust.evaluation.subject import Subject, has_gradient
from tfrobust.evaluation.usefulness import answers, counted, of_answers
from tfrobust.types import Loss, Model, TensorLike

CURVE = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)


def evaluate(
    model: Model | str | os.PathLike,
    data: tuple[TensorLike, TensorLike] | tf.data.Dataset,
    adversaries: abc.Mapping[str, Adversary]
    | abc.Sequence[Adversary]
    | Adversary
    | None = None,
    batch_size: int = 128,
    curve: abc.Sequence[float] = CURVE,
    diagnostic_examples: int = 256,
    state: str | os.PathLike | None = None,
    name: str | None = None,
    dataset: str | None = None,
    verbose: int = 1,
    *,
    epsilon: float | None = None,
    norm: str | None = None,
    loss: Loss | str | None = None,
) -> Report:
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
            named after the classes: `"pgd"`, `"pgd-2"` ... In their place
            `epsilon` runs `AutoAttack`.
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
        epsilon: Radius in the units of the inputs, which lie in [0, 1].
        norm: Norm of `epsilon`: `"linf"`, if None, `"l2"` or `"l1"`.
        loss: What to judge by where no class wins (regression, several labels),
            a Keras loss; None takes that of the `RobustModel`, if it is one.

    Returns:
        A `Report`: print it, or `save` it. By a loss, a `LossReport`.

    Raises:
        NotImplementedError: If a verifier has no rule for an op of the network.
        TypeError: If data is no pair, there are both adversaries and
            `epsilon` or neither, or `state` can't tell adversaries apart.
        ValueError: If inputs, labels or adversaries aren't as expected, or
            `state` belongs to another run.

    Example:
        `tfr.evaluate(model, (x_test, y_test), epsilon=8 / 255)`
    """
    judged = by_loss.loss_of(model, loss)
    if judged is not None:
        usual = by_loss.usual
        attacks = chosen(
            adversaries, "adversaries", epsilon, norm, usual, verbose
        )
        by_loss.refuse_state(state)
        return by_loss.evaluated(
            model, data, judged, attacks, batch_size, (name, dataset)
        )
    checks.count(diagnostic_examples, "diagnostic_examples", least=0)
    for multiple in curve:
        checks.number(multiple, "curve", low=0.0)
    parts, total = batches(data, batch_size)
    adversaries = named(
        chosen(adversaries, "adversaries", epsilon, norm, AutoAttack, verbose)
    )
    check(adversaries)
    with callable_of(model) as network:
        source = Provenance(network, name, dataset)
        run = Run(
            network,
            adversaries,
            source,
            State(state, [source.weights(), adversaries]),
            _stages,
            kept=diagnostic_examples,
            largest=most(data),
        )
        run.over(parts, total, verbose)
        return _report(run, sorted(curve))


def _stages(run):
    """Each adversary on what is right clean, its components in turn."""
    run.sequences = [Sequence(run, *named) for named in run.adversaries.items()]
    check_names(run.sequences)
    return [stage for sequence in run.sequences for stage in sequence.stages]


def _report(run, curve):
    """Sums up, and runs the curve and the diagnostics."""
    rows = [run.clean.row(run.count)]
    clean = rows[0].correct
    for sequence in run.sequences:
        rows += sequence.rows(run.count, clean)
    worst = diagnostics.worst_case(rows)
    radii = {row.epsilon for row in rows[1:]}
    epsilon = radii.pop() if len(radii) == 1 else None
    rows.append(Row("worst case", worst, epsilon=epsilon))
    classes = counted(run.labels(), run.predicted(), run.classes)
    curves, found = {}, diagnostics.of_rows(rows)
    found += of_answers(rows[0], classes)
    found = diagnostics.of_first(found, run.count)
    found += [
        diagnostics.noted(sequence.name, sentence)
        for sequence in run.sequences
        for sentence in sequence.notes
    ]
    if run.kept:
        x, y = run.first()
        curves = _curves(run.sequences, curve, x, y, clean[: len(x)])
        known = diagnostics.of_curves(curves, run.adversaries)
        known += _diagnosed(run, x, y, worst[: len(x)])
        found += diagnostics.of_first(known, len(x))
    else:
        found.append(diagnostics.NOT_RUN)
    info = run.source.info(run.count)
    asked = {s.name: s.adversary for s in run.stages[1:]} | run.adversaries
    info["adversaries"] = settings({r.name: asked[r.name] for r in rows[1:-1]})
    return Report(
        rows,
        curves,
        found,
        _images(run, rows),
        info,
        classes=classes,
        answers=_answers(run),
    )


def _answers(run):
    """The label of each example, and the answers to every row's points."""
    predicted = {"clean": run.predicted()}
    for sequence in run.sequences:
        predicted |= sequence.predicted(run.predicted(), np.arange(run.count))
    return answers(run.labels(), predicted)


def _images(run, rows):
    """Clean examples, and what the strongest attack made of them."""
    images = {"clean": run.clean.pictures(None)}
    accuracies = {row.name: row.accuracy for row in rows}
    shown = [s for s in run.sequences if isinstance(s.adversary, Attack)]
    if shown:
        best = min(shown, key=lambda sequence: accuracies[sequence.name])
        images[best.name] = best.pictures(run.clean)
    return images


def _curves(sequences, multiples, x, y, clean):
    curves: dict[str, Any] = {}
    index = np.flatnonzero(clean)
    for sequence in sequences:
        stage = sequence.stages[0]
        radius = radius_of(stage.adversary.threat)
        if not isinstance(sequence.adversary, Attack) or radius is None:
            continue
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


def _diagnosed(run, x, y, standing):
    asked = [stage.adversary for stage in run.stages[1:]]
    attacks = [a for a in asked if a.threat.epsilon is not None]
    if not attacks:
        return [diagnostics.no_ball(asked)]
    surrogate = None
    if not has_gradient(run.network, x[:1]):
        moved = [a for a in attacks if isinstance(a, Transfer)]
        if not moved:
            return [diagnostics.NO_GRADIENT]
        surrogate = moved[0].surrogate
    subject = Subject(
        run.network,
        diagnostics.strongest(attacks),
        x,
        y,
        standing,
        # Tracing takes longer than running: what is traced is used again.
        runners={stage.adversary: stage.runner for stage in run.stages},
        surrogate=surrogate,
        randomised=any(getattr(a, "averages", 1) > 1 for a in attacks),
    )
    return diagnose(subject)
