"""How far perturbations and gradients point into different directions."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from tfrobust import checks
from tfrobust.analysis.risk import Risk, joined
from tfrobust.analysis.states import trainable_of
from tfrobust.attack import Attack
from tfrobust.averaging import on_network
from tfrobust.types import Loss, Model, TensorLike

# Relative to a value in float32, what rounding may move.
_ROUNDING = 1.2e-7


@dataclasses.dataclass(frozen=True)
class Scattering:
    """Directions at two sets of weights.

    Args:
        cosines: Of the two perturbations of each example that is kept.
        sign_cosines: Of their signs.
        kept: Which examples were moved at both weights, shape `[batch]`.
        gradient_norms: Norm of the gradient by the weights of each batch at
            what the attack found, shape `[2, batches]`: first weights, second
            weights.
        gradient_cosines: Of the gradients of each batch and the next one,
            shape `[2, batches - 1]`.
        distance: Euclidean distance of the trainable weights.
    """

    cosines: np.ndarray
    sign_cosines: np.ndarray
    kept: np.ndarray
    gradient_norms: np.ndarray
    gradient_cosines: np.ndarray
    distance: float

    @property
    def mean_cosine(self) -> float:
        """Mean cosine of perturbations; NaN if no example is kept."""
        return _mean(self.cosines)

    @property
    def mean_sign_cosine(self) -> float:
        """Mean cosine of their signs; NaN if no example is kept."""
        return _mean(self.sign_cosines)

    def to_dict(self) -> dict:
        """As what JSON can hold."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(self).items()
        }


@on_network
def scattering(
    model: Model,
    weights_a: Sequence[np.ndarray],
    weights_b: Sequence[np.ndarray],
    x: TensorLike,
    y: TensorLike,
    attack: Attack,
    loss: Loss | str | None = None,
    batch_size: int = 128,
) -> Scattering:
    """Compares perturbations and gradients at two sets of weights.

    With weights before and after a few steps of training, or of two trainings,
    low cosines say that the worst points jump as the weights move, so that the
    gradients that train scatter. The model runs in inference mode; examples
    keep their order.

    Args:
        model: A `RobustModel` or a Keras model of logits, whose weights come
            back as they were.
        weights_a: First weights, as `model.get_weights()` gives them; those
            that the distance is measured from, such as those of the start.
        weights_b: Second weights.
        x: Inputs in the threat's valid range, shape `[batch, ...]`.
        y: Integer labels, shape `[batch]`, or what `loss` compares with.
        attack: An `Attack`, which runs at both.
        loss: A Keras loss on logits, a function `(y, logits) -> [batch]`, the
            name of either; None for cross entropy.
        batch_size: Number of examples in a batch.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If one is out of its range or has the wrong shape.

    Example:
        before = model.get_weights()
        model.fit(x, y)
        after = model.get_weights()
        found = tfr.analysis.scattering(model, before, after, x, y, attack=pgd)
        print(found.mean_cosine)

    Reference: Liu et al., 2020, arXiv 2006.08403.
    """
    checks.kind(attack, Attack, "attack", "tfr.attacks.PGD(threat)")
    risk = Risk(model, (x, y), loss, attack, batch_size)
    states = {"weights_a": weights_a, "weights_b": weights_b}
    trained = [joined(trainable_of(risk, s, n)) for n, s in states.items()]
    moves, gradients = [], []
    with risk.restored():
        for state in states.values():
            risk.network.set_weights(state)
            points = [*risk.points()]
            moves.append(_moves(risk, points))
            gradients.append([risk.gradient([part]) for part in points])
    kept = np.all([np.any(each, axis=1) for each in moves], axis=0)
    moved = [each[kept] for each in moves]
    return Scattering(
        _cosines(*moved),
        _cosines(*map(np.sign, moved)),
        kept,
        np.array([[np.linalg.norm(g) for g in each] for each in gradients]),
        np.array([_successive(each) for each in gradients]),
        float(np.linalg.norm(trained[1] - trained[0])),
    )


def _moves(risk, points):
    """The perturbations as rows; 0 where there is only rounding."""
    rows = []
    for (x, _), (point, _) in zip(risk.clean(), points, strict=True):
        clean, found = np.array(x, np.float64), np.array(point, np.float64)
        rounding = _ROUNDING * np.maximum(np.abs(clean), np.abs(found))
        move = found - clean
        move = np.where(np.abs(move) > rounding, move, 0.0)
        rows.append(move.reshape(len(move), -1))
    return np.concatenate(rows)


def _cosines(one, other):
    """Of each pair of rows; 0 where a row is 0."""
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.sum(one * other, axis=1) / np.where(norms > 0, norms, 1.0)


def _successive(gradients):
    rows = np.array(gradients)
    return _cosines(rows[:-1], rows[1:])


def _mean(values):
    return float(np.mean(values)) if len(values) else math.nan
