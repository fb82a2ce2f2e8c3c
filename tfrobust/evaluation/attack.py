"""Attacking arrays, at one epsilon or at several."""

import os

import numpy as np

from tfrobust import checks
from tfrobust.attack import Attack
from tfrobust.evaluation import by_loss
from tfrobust.evaluation.adversarial_set import AdversarialSet
from tfrobust.evaluation.adversaries import check
from tfrobust.evaluation.batches import batches
from tfrobust.evaluation.chosen import usual_attack
from tfrobust.evaluation.network import Network, callable_of
from tfrobust.evaluation.runner import Runner
from tfrobust.threats.norms import threat_of
from tfrobust.types import Model, TensorLike


def attack(
    model: Model | str | os.PathLike,
    x: TensorLike,
    y: TensorLike | None = None,
    epsilon: TensorLike | None = None,
    norm: str | None = None,
    attack: Attack | None = None,
    batch_size: int = 128,
) -> AdversarialSet:
    """Attacks arrays, and returns arrays.

    Several epsilons run from small to large: what a smaller one has fooled is
    the answer to the larger ones too.

    Args:
        model: As `evaluate`.
        x: Inputs `[n, ...]` in the valid range, [0, 1] unless `attack` says
            otherwise.
        y: Integer labels `[n]`; None takes what the model predicts.
        epsilon: Radius in the units of x, or a list of some; None takes that
            of `attack`.
        norm: Norm of `epsilon`: `"linf"`, if None, `"l2"` or `"l1"`.
        attack: An `Attack`, whose norm and range hold; None takes PGD on the
            margin, 40 steps, twice.
        batch_size: Number of examples at a time.

    Returns:
        An `AdversarialSet`: points, success and distance of each example.
        Print it for a table, or `save` it.

    Raises:
        TypeError: If there is neither an attack nor an epsilon, or an attack
            and a norm.
        ValueError: If inputs, labels or epsilons aren't as expected.

    Example:
        ```
        found = tfr.attack(model, x_test, y_test, epsilon=[0.02, 0.05, 0.1])
        print(found)
        found.save("adversarial.npz")
        ```
    """
    attack, radii = _chosen(attack, epsilon, norm)
    if (loss := by_loss.loss_of(model, None)) is not None:
        raise ValueError(
            "`model` must answer with logits of classes: an attack succeeds "
            f"where another one wins. Received one compiled for {loss!r}. Use "
            "tfr.evaluate, or the `perturb` of an attack that ascends it."
        )
    with callable_of(model) as network:
        x, labels = _arrays(attack, x, y, batch_size)
        network = Network(network, x.shape[1:])
        labels, predicted = _labels(network, x, labels, y is None, batch_size)
        runner = Runner(network, attack, x.shape[1:], min(batch_size, len(x)))
        now = {
            "x": x,
            "success": predicted != labels,
            "distance": np.zeros(len(x), np.float32),
        }
        found = []
        for radius in radii:
            now = _stronger(now, (x, labels), runner, radius, batch_size)
            found.append(now)
    arrays = {name: np.stack([one[name] for one in found]) for name in now}
    if np.ndim(attack.threat.epsilon if epsilon is None else epsilon) == 0:
        radii = radii[0]
        arrays = {name: array[0] for name, array in arrays.items()}
    return AdversarialSet(
        y=labels,
        epsilon=radii,
        norm=attack.threat.name,
        attack=repr(attack),
        **arrays,
    )


def _stronger(before, data, runner, radius, batch_size):
    """Attacks, at a larger radius, what is still right."""
    x, y = data
    found = {name: array.copy() for name, array in before.items()}
    for some in _parts(np.flatnonzero(~before["success"]), batch_size):
        answer = runner(x[some], y[some], radius)
        inside = answer["inside"]  # Other points are no answers.
        fooled = ~answer["correct"] & inside
        found["x"][some[inside]] = answer["point"][inside]
        found["success"][some] = fooled
        found["distance"][some] = np.where(fooled, answer["norm"], np.inf)
    return found


def _chosen(attack, epsilon, norm):
    """The attack, and its radii from small to large."""
    if attack is None and epsilon is None or attack and norm:
        raise TypeError(
            "Pass `epsilon` (and `norm`), or an `attack`, which knows its "
            "norm: tfr.attack(model, x, y, epsilon=8 / 255). Received: "
            f"epsilon={epsilon!r}, norm={norm!r}, attack={attack!r}"
        )
    if attack is not None:
        checks.kind(attack, Attack, "attack", "tfr.attacks.PGD(threat)")
        check({"attack": attack})
        epsilon = attack.threat.epsilon if epsilon is None else epsilon
    radii = np.atleast_1d(epsilon)
    checks.argument(
        radii.ndim == 1 and len(radii) > 0 and radii.dtype.kind in "iuf",
        "epsilon",
        "be a number or a list of numbers",
        epsilon,
    )
    radii = np.sort(radii).astype(float)
    threats = [
        attack.threat.replace(epsilon=radius)
        if attack
        else threat_of(radius, norm or "linf")
        for radius in map(float, radii)
    ]
    return (attack or usual_attack(threats[-1])).against(threats[-1]), radii


def _arrays(attack, x, y, batch_size):
    """Inputs and labels as arrays, zeros where there are none."""
    labels = np.zeros(len(np.atleast_1d(x)), int) if y is None else y
    parts, _ = batches((x, labels), batch_size)
    held = [*zip(*parts, strict=True)]
    if not held:
        raise ValueError("`x` must hold at least one example.")
    x, labels = (np.concatenate(part) for part in held)
    return np.asarray(attack.threat.checked(x)), labels


def _labels(network, x, labels, predict, batch_size):
    """Labels once they are checked, or predictions, and the predictions."""
    clean = Runner(network, None, x.shape[1:])
    answers = [
        clean(x[some], np.zeros(len(some)))
        for some in _parts(np.arange(len(x)), batch_size)
    ]
    logits = np.concatenate([answer["logits"] for answer in answers])
    predicted = np.argmax(logits, axis=1)
    if predict:
        return predicted, predicted
    return np.asarray(checks.labels(labels, logits), np.int64), predicted


def _parts(index, size):
    """Positions in batches."""
    return [index[i : i + size] for i in range(0, len(index), size)]
