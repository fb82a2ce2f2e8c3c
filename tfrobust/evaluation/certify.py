"""Certifying a model over a whole dataset."""

import functools
import os
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfrobust.attack import Attack
from tfrobust.decision import CERTIFIED, FALSIFIED, UNKNOWN
from tfrobust.evaluation import by_loss, diagnostics, feeding
from tfrobust.evaluation.adversaries import of_one_threat
from tfrobust.evaluation.batches import batches, most, specified
from tfrobust.evaluation.chosen import chosen
from tfrobust.evaluation.network import callable_of
from tfrobust.evaluation.provenance import Provenance
from tfrobust.evaluation.report import Report, Row
from tfrobust.evaluation.run import Run
from tfrobust.evaluation.settings import settings
from tfrobust.evaluation.state import State
from tfrobust.evaluation.usefulness import answers, counted, of_answers
from tfrobust.mismatches import other_norm
from tfrobust.types import Loss, Model, TensorLike
from tfrobust.verifier import Verifier
from tfrobust.verifiers import CROWN, PolyhedralEnvelope, Specification, ladder
from tfrobust.verifiers.clauses import Clauses

BATCH = 256


def certify(
    model: Model | str | os.PathLike,
    data: tuple[TensorLike, TensorLike | Specification] | tf.data.Dataset,
    verifiers: Mapping[str, Verifier]
    | Sequence[Verifier]
    | Verifier
    | None = None,
    attack: Attack | None = None,
    memory: int = 2**30,
    state: str | os.PathLike | None = None,
    name: str | None = None,
    dataset: str | None = None,
    verbose: int = 1,
    *,
    epsilon: float | None = None,
    norm: str | None = None,
    loss: Loss | str | None = None,
) -> Report:
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
            In place of labels a `Specification`, of rows of its own of each
            example if you like: then "correct" is where it holds.
        verifiers: A `Verifier`, or several of one threat from cheap to tight,
            a list or by name, such as `tfr.verifiers.ladder(threat)`,
            which `epsilon` runs in their place.
        attack: The `Attack`, of the same threat; None takes PGD on the
            margin, 40 steps, twice.
        memory: How many bytes a batch of bounds may take; batches are as
            large as each verifier's `cost` allows. Beside it CROWN and its
            kind work in some 0.2 GB that don't grow with the batch.
        state: A file in which to keep verdicts while it runs, so that a run
            that was killed goes on from there; None keeps none.
        name: Name of the model in the report.
        dataset: Name of the dataset in the report.
        verbose: 1 shows a progress bar, 0 is silent.
        epsilon: Radius in the units of the inputs, which lie in [0, 1].
        norm: Norm of `epsilon`: `"linf"`, if None, `"l2"` or `"l1"`.
        loss: As in `evaluate`; certificates are then ranges of the outputs.

    Returns:
        A `Report` whose row "worst case" is what is proven, and whose
        `certificates` holds every verdict with its smallest margin, from
        which what rounding may have added is taken off, who decided it, and
        of a `PolyhedralEnvelope` the radius that is proven. By a loss, a
        `LossReport`.

    Raises:
        NotImplementedError: If an op of the network has no rule.
        TypeError: As `evaluate`.
        ValueError: If an argument isn't as expected, or `state` belongs to
            another run. If one example exceeds the memory; of a verifier after
            the first when its turn comes, and with `state` and more memory the
            run goes on from there.

    Example:
        `tfr.certify(model, (x_test, y_test), epsilon=0.1)`
    """
    data, specification = specified(data)
    judged = None if specification else by_loss.loss_of(model, loss)
    if judged is not None:
        verifiers = chosen(
            verifiers, "verifiers", epsilon, norm, CROWN, verbose
        )
        by_loss.refuse_state(state)
        names = name, dataset
        return by_loss.ranged(model, data, judged, verifiers, attack, names)
    # What has rows of its own is decided by itself.
    alone = specification is not None and specification.rows.ndim == 3
    parts, total = batches(data, 1 if alone else BATCH)
    verifiers = chosen(verifiers, "verifiers", epsilon, norm, ladder, verbose)
    adversaries = of_one_threat(attack, verifiers)
    remark = other_norm(model, [*adversaries.values()][0].threat)
    if remark:
        warnings.warn(remark, stacklevel=2)
    with callable_of(model) as network:
        source = Provenance(network, name, dataset)
        parts = feeding.of_a_function(network, parts)
        held: list = []
        if specification is not None:
            network = Clauses(network, specification)
            held = [*vars(specification).values()]
        if alone:
            parts = feeding.shown(network, specification, parts)
        run = Run(
            network,
            adversaries,
            source,
            State(state, ["certify", source.weights(), adversaries, *held]),
            functools.partial(_stages, memory),
            largest=1 if alone else most(data),
        )
        run.over(parts, total, verbose)
        return _report(run, specification is None)


def _stages(memory, run):
    """The attack, and each verifier on what is still unknown."""
    (name, attack), *verifiers = run.adversaries.items()
    stages = [run.stage(name, attack, run.clean.right)]
    # The first verifier also bounds what the attack fooled: a certificate there
    # would show that one of both is wrong.
    needed = run.clean.right
    for name, verifier in verifiers:
        stages.append(run.stage(name, verifier, needed, memory=memory))
        needed = functools.partial(_unknown, (run.clean, *stages))
    # What can't be bounded is refused before anything runs.
    _ = stages[1].runner.size
    return stages


def _unknown(stages, index):
    return _verdict(index, *stages) == UNKNOWN


def _verdict(index, clean, attack, *verifiers):
    """What is known of each example, by the answers of these stages."""
    verdict = np.full(len(index), UNKNOWN, dtype="<U9")
    clean, survived = clean.right(index), attack.right(index)
    # A point outside of the threat shows nothing.
    inside = attack.take("inside", index, bool)
    verdict[~clean | (~survived & inside)] = FALSIFIED
    for verifier in verifiers:
        verdict[verifier.take("falsified", index, bool)] = FALSIFIED
        proven = verifier.right(index)
        verdict[proven & (verdict == UNKNOWN)] = CERTIFIED
    return verdict


def _report(run, of_labels):
    index, (clean, attack, *verifiers) = np.arange(run.count), run.stages
    right = clean.right(index)
    rows = [clean.row(run.count), attack.row(run.count, right)]
    margin = np.full(run.count, -np.inf, np.float32)
    before = _verdict(index, clean, attack)
    fooled, contradicted = before == FALSIFIED, 0
    decided = np.where(right, attack.name, "clean").astype(object)
    decided[~fooled] = None
    for number, verifier in enumerate(verifiers, 1):
        row = verifier.row(run.count)
        contradicted += int(np.sum(row.correct & fooled))
        bounded = verifier.known(index) & verifier.take("finite", index, bool)
        least = np.where(bounded, verifier.take("margin", index), -np.inf)
        margin = np.maximum(margin, least)
        verdict = _verdict(index, clean, attack, *verifiers[:number])
        row.correct = verdict == CERTIFIED
        decided[verdict != before] = verifier.name
        before = verdict
        rows.append(row)
    classes = counted(run.labels(), run.predicted(), run.classes)
    outside = right & ~attack.take("inside", index, bool)
    # Of a specification, all labels are alike: it shall hold.
    checked = [
        *of_answers(rows[0], classes)[: None if of_labels else 1],
        *diagnostics.of_certificates(rows, ~outside, contradicted),
    ]
    checked = diagnostics.of_first(checked, run.count)
    worst = Row("worst case", verdict == CERTIFIED)
    worst.epsilon = rows[-1].epsilon
    certificates = {
        "verdict": verdict.tolist(),
        "margin": [float(m) if np.isfinite(m) else None for m in margin],
        "decided_by": decided.tolist(),
    }
    certificates |= _radii(verifiers, index, right)
    return Report(
        [*rows, worst],
        {},
        checked,
        _images(run, attack),
        run.source.info(run.count) | {"adversaries": settings(run.adversaries)},
        certificates,
        classes,
        _answers(run, attack),
    )


def _radii(verifiers, index, right):
    """The largest radius proven of each example, if a verifier knows any."""
    if not any(isinstance(v.adversary, PolyhedralEnvelope) for v in verifiers):
        return {}
    radii = np.max([v.take("radius", index) for v in verifiers], axis=0)
    return {"radius": np.where(right, radii, 0.0).astype(float).tolist()}


def _answers(run, attack):
    index, clean = np.arange(run.count), run.predicted()
    found = attack.take("predicted", index, np.int64)
    found = np.where(attack.known(index), found, clean)
    return answers(run.labels(), {"clean": clean, attack.name: found})


def _images(run, attack):
    """The first examples, clean and as the attack left them."""
    moved = attack.pictures(run.clean.pictures(None))
    return {"clean": run.clean.pictures(None), attack.name: moved}
