"""Evaluating and certifying models that no accuracy is known of."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import backend, checks, losses, metrics
from tfrobust.adversary import named
from tfrobust.ascending import ascending, of_keras
from tfrobust.attacks import PGD, severity
from tfrobust.backend import keras
from tfrobust.evaluation.adversaries import check
from tfrobust.evaluation.batches import batches
from tfrobust.evaluation.loss_report import LossReport, LossRow
from tfrobust.evaluation.network import callable_of
from tfrobust.evaluation.provenance import Provenance
from tfrobust.evaluation.settings import settings
from tfrobust.tracing import compiled
from tfrobust.two_logits import has_one
from tfrobust.verifiers import bounds as bounds_of

# Convex in each output by itself, so that the worst is at an end of its range.
_CONVEX = (
    keras.losses.MeanSquaredError,
    keras.losses.MeanAbsoluteError,
    keras.losses.Huber,
    keras.losses.LogCosh,
    keras.losses.BinaryCrossentropy,
)
# Bounds take memory, and nobody knows how much of several outputs.
_BATCH = 32


def loss_of(model: Any, loss: Any) -> Any:
    """The loss that a model is judged by; None where classes are.

    Args:
        model: As in `evaluate`.
        loss: What the user said, or None for what the model was compiled with.
    """
    known = loss is not None
    found = losses.get(loss) if known else getattr(model, "trained_loss", None)
    if found is None:
        return None
    targets = metrics.targets(found)
    one = has_one(getattr(model, "network", model))
    if targets in ("classes", "rows") or (targets == "bits" and one):
        return None
    return found if known or targets or one or of_keras(found) else None


def usual(threat: Any) -> Any:
    """What is run where only a radius is given."""
    return PGD(threat, steps=40, restarts=2)


def refuse_state(state: Any) -> None:
    """Refuses to go on where a run was killed, which it couldn't."""
    expected = "be None where a loss is what counts"
    checks.argument(state is None, "state", expected, state)


def evaluated(
    model: Any,
    data: Any,
    loss: Any,
    adversaries: Any,
    batch_size: int,
    names: tuple[str | None, str | None],
) -> Any:
    """The losses of all examples, clean and under attack.

    Args:
        model: As in `evaluate`.
        data: Inputs, and what the loss compares outputs with.
        loss: The resolved loss.
        adversaries: Attacks, as `evaluate` takes them.
        batch_size: Number of examples at a time.
        names: Of the model and of the dataset.
    """
    _check_head(model, loss)
    adversaries = named(adversaries)
    check(adversaries)
    attacks = {n: ascending(a, loss) for n, a in adversaries.items()}
    parts, _ = batches(data, batch_size)
    found: dict[str, list] = {name: [] for name in ("clean", *attacks)}
    with callable_of(model) as network:
        source = Provenance(network, *names)
        measured = compiled(lambda x, y: _measured(network, loss, x, y))
        moved = {n: _attacked(network, a) for n, a in attacks.items()}
        for x, y in parts:
            x, y = tf.constant(x, tf.float32), tf.constant(y, tf.float32)
            source.add(x, y)
            found["clean"].append(measured(x, y))
            for name, attack in moved.items():
                found[name].append(measured(attack(x, y), y))
        rows = {n: LossRow(np.concatenate(v)) for n, v in found.items() if v}
        checks.argument(bool(rows), "data", "hold at least one example", "none")
        worst = np.max([row.losses for row in rows.values()], axis=0)
        info = source.info(len(worst)) | {"loss": repr(loss)}
    info["adversaries"] = settings(adversaries)
    return LossReport({**rows, "worst case": LossRow(worst)}, info)


def ranged(
    model: Any,
    data: Any,
    loss: Any,
    verifiers: Any,
    attack: Any,
    names: tuple[str | None, str | None],
) -> Any:
    """Losses under attack, and the ranges that no output leaves.

    Args:
        model: As in `certify`.
        data: Inputs, and what the loss compares outputs with.
        loss: The resolved loss.
        verifiers: Verifiers that bound what they trace, of one threat; the
            narrowest of their ranges hold.
        attack: The `Attack`, or None.
        names: Of the model and of the dataset.
    """
    verifiers = [*named(verifiers).values()]
    attack = attack or usual(verifiers[0].threat)
    report = evaluated(model, data, loss, attack, 128, names)
    parts, _ = batches(data, _BATCH)
    ranges, targets = [], []
    with callable_of(model) as network:
        for x, y in parts:
            x = x.astype(np.float32)
            each = [bounds_of(network, x, v) for v in verifiers]
            lower = np.max([np.asarray(lower) for lower, _ in each], axis=0)
            upper = np.min([np.asarray(upper) for _, upper in each], axis=0)
            ranges.append((lower, upper))
            targets.append(y)
    report.lower, report.upper = map(np.concatenate, zip(*ranges, strict=True))
    y = np.concatenate(targets)
    _bound(report, loss, y)
    if metrics.targets(loss) == "bits":
        found = np.where(y > 0.5, report.lower > 0, report.upper < 0)
        report.certified = found
    return report


def _check_head(model, loss):
    """Refuses probabilities of labels, which their ranges would certify."""
    network = getattr(model, "network", model)
    if metrics.targets(loss) == "bits" and getattr(network, "layers", None):
        backend.refuse_head(network, "sigmoid")


def _bound(report, loss, y):
    """Adds the row of what no loss exceeds, if that is known."""
    kind = losses.get(loss)
    functions = [keras.losses.get(k) for k in ("mse", "mae")]
    if type(kind) not in _CONVEX and kind not in functions:
        return
    y = tf.cast(np.broadcast_to(y, report.lower.shape), tf.float32)
    ends = [
        _each(kind, y, tf.cast(end, tf.float32))
        for end in (report.lower, report.upper)
    ]
    bound = np.mean(np.maximum(*(np.asarray(end) for end in ends)), axis=1)
    row = report.rows["bound"] = LossRow(bound)
    worst = report.rows["worst case"].losses
    slack = 1e-5 * (1 + np.abs(row.losses))
    broken = int(np.sum(worst > row.losses + slack))
    if broken:
        raise ValueError(
            "No attack may exceed a bound. Received "
            f"{broken} examples that do. Please report this."
        )


def _each(loss, y, outputs):
    """The loss of each output by itself, `[n, outputs]`."""
    call = loss.call if isinstance(loss, keras.losses.Loss) else loss
    return call(y[..., tf.newaxis], outputs[..., tf.newaxis])


def _attacked(network, attack):
    def perturbed(x, y):
        return attack.perturb(network, x, y)

    return compiled(perturbed)


def _measured(network, loss, x, y):
    """The loss of each example, infinite where outputs aren't finite."""
    outputs = tf.cast(network(x, training=False), tf.float32)
    checks.argument(
        outputs.shape.rank == 2,
        "model",
        "answer with one tensor, [batch, outputs]",
        f"one of shape {outputs.shape}",
    )
    values = losses.per_example(loss, y, outputs)
    return severity.judged(values, outputs)
