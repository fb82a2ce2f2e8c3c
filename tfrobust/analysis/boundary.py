"""The decision boundary near inputs: how far, which way, how curved."""

import dataclasses

import numpy as np

from tfrobust import checks
from tfrobust.analysis.crossing import crossing
from tfrobust.analysis.maps import divided
from tfrobust.analysis.problem import in_batches, problem
from tfrobust.analysis.tangent import angles
from tfrobust.attack import Attack
from tfrobust.averaging import on_network
from tfrobust.types import Model, TensorLike


@dataclasses.dataclass(frozen=True)
class Boundary:
    """The decision boundary near each input, which no other class crosses.

    Where no point was found, all numbers are NaN.

    Args:
        found: Whether the input is classified right and the attack found a
            point that isn't, shape `[batch]`, bool.
        points: Points on the boundary, of x's shape, float32.
        other: The class j on the far side, shape `[batch]`; -1 if none.
        distance: From x to the point, in the norm of the attack's threat,
            shape `[batch]`: at least that of the nearest point.
        normals: `grad (z_y - z_j)` there, of Euclidean length 1 and x's shape.
        angle: Between the normals there and at points of the boundary nearby,
            in radians, the mean over directions, shape `[batch]`.
        curvature: The mean of these angles over the distances of the points.
    """

    found: np.ndarray
    points: np.ndarray
    other: np.ndarray
    distance: np.ndarray
    normals: np.ndarray
    angle: np.ndarray
    curvature: np.ndarray

    def ratio(self, radius: TensorLike) -> np.ndarray:
        """Certified radii over the distances found, shape `[batch]`.

        At most 1 but for rounding, of radii in the same norm: more contradicts
        the certificate. 1 says that both are as good as can be.

        Args:
            radius: What is certified, as by
                `certified_radius(model, x, y, verifier).radius`; `[batch]`.

        Raises:
            ValueError: If there isn't one radius for each input.
        """
        radius = np.asarray(radius, np.float64)
        expected = f"have the shape {self.distance.shape}, one for each input"
        fine = radius.shape == self.distance.shape
        checks.argument(fine, "radius", expected, radius)
        return divided(radius, self.distance)


@on_network
def boundary(
    model: Model,
    x: TensorLike,
    y: TensorLike | None = None,
    *,
    attack: Attack,
    step: float = 0.1,
    directions: int = 2,
    batch_size: int = 128,
    seed: int = 0,
) -> Boundary:
    """Finds the decision boundary near each input.

    The attack says in which direction; the point is where the line from x to
    what it found leaves the class y, by bisection. From there points nearby
    are sought along random tangents, from which Newton's method leads back to
    the boundary; these may leave the valid range.

    Args:
        model: A `RobustModel`, or any callable `model(x, training=False) ->
            logits`.
        x: Inputs in the threat's valid range, shape `[batch, ...]`.
        y: Integer labels, shape `[batch]`; None for the predicted ones.
        attack: An `Attack` that finds points nearby: a `MinimumNorm`, say, or
            a `FAB`.
        step: How far to go along a tangent, in the units of x.
        directions: Number of tangents.
        batch_size: Number of examples that are worked on at once.
        seed: Integer that keys the tangents.

    Returns:
        A `Boundary`.

    Raises:
        TypeError: If `attack` isn't one.
        ValueError: If another argument isn't as expected, or no gradient
            reaches the model's input.

    Example:
        search = tfr.attacks.APGD(tfr.threats.L2(3.0))
        attack = tfr.attacks.MinimumNorm(search, steps=12)
        found = tfr.analysis.boundary(model, x, y, attack=attack)
        print(np.nanmedian(found.distance))

    Reference: normals near data: Fawzi et al., 2018, arXiv 1705.09552.
    """
    example = "tfr.attacks.MinimumNorm(tfr.attacks.APGD(threat))"
    checks.kind(attack, Attack, "attack", example)
    checks.positive(step, "step")
    checks.count(directions, "directions")
    x, y = problem(model, x, y, batch_size)
    attack.threat.checked(x)
    features = x[0].size
    checks.argument(features > 1, "x", "have 2 features or more", x)

    def near(x, y):
        point = attack.perturb(model, x, y)
        found, point, other, normal = crossing(model, x, y, point)
        distance = attack.threat.distance(x, point)
        turned = angles(model, point, y, other, normal, step, directions, seed)
        return found, point, other, distance, normal, *turned

    found, point, other, *rest = in_batches(near, batch_size, x, y)
    distance, normal, angle, curvature = (
        _where(found, values) for values in rest
    )
    return Boundary(
        found,
        _where(found, point),
        np.where(found, other, -1),
        distance,
        normal,
        angle,
        curvature,
    )


def _where(found: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The values, NaN where nothing was found."""
    fine = found.reshape([-1] + [1] * (values.ndim - 1))
    return np.where(fine, values, np.float32(np.nan))
