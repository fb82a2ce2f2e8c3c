"""Loss and accuracy over directions of weights."""

import itertools
from typing import Any

import numpy as np

from tfrobust import checks
from tfrobust.analysis.directions import direction
from tfrobust.analysis.landscape import Landscape
from tfrobust.analysis.risk import Risk
from tfrobust.analysis.states import reestimation
from tfrobust.attack import Attack
from tfrobust.averaging import on_network
from tfrobust.types import Loss, Model

# Points of each axis, by how many there are.
_POINTS = {1: 41, 2: 21}


@on_network
def scan(
    model: Model,
    data: Any,
    loss: Loss | str | None = None,
    directions: Any = "filter",
    grid: Any = None,
    attack: Attack | None = None,
    every: int = 1,
    reestimate: bool = False,
    batch_size: int = 128,
    seed: int = 0,
) -> Landscape:
    """Loss and accuracy on a line or a plane through the weights.

    At each point of the grid the weights are `w + a d`, or `w + a d + b e`,
    and the attack runs anew: without an attack, or with points that are kept,
    the landscape is that of another function. The model runs in inference
    mode; all weights come back, also on an error.

    Args:
        model: A `RobustModel` or a Keras model of logits.
        data: A pair of arrays `(x, y)`, or a batched `tf.data.Dataset` of
            them.
        loss: A Keras loss on logits, a function `(y, logits) -> [batch]`, the
            name of either; None for cross entropy.
        directions: One, or a pair: `"filter"`, a random one in which what
            leads to each unit has the norm of its weights, and biases and
            normalisation stay; `"random"`, a unit vector; or a flat vector of
            the trainable weights, such as one of `Spectrum.vectors`.
        grid: How far to go along each: numbers, or a pair of arrays of them;
            None for [-1, 1] in 41 points of a line and 21 times 21 of a plane.
        attack: An `Attack` that moves the inputs, or None.
        every: After how many points of the grid the attack runs again; those
            in between keep what it found. Lines of a plane go to and fro, so
            that these are neighbours.
        reestimate: Whether statistics of batch normalisation are estimated
            anew at each point, on the data, attacked if there is an attack;
            otherwise they are those of the model.
        batch_size: Number of examples in a batch of arrays.
        seed: Integer that keys random directions.

    Returns:
        A `Landscape`.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If one is out of its range or has the wrong shape.

    Example:
        plane = tfr.analysis.scan(model, (x, y), directions=["filter"] * 2)
        plane.plot("plane.svg")

    Reference: Li et al., 2018, arXiv 1712.09913, section 4.
    """
    checks.count(every, "every")
    risk = Risk(model, data, loss, attack, batch_size)
    random = np.random.default_rng(seed)
    lines = [direction(one, risk, random) for one in _each(directions)]
    axes = _axes(grid, len(lines))
    shape = tuple(map(len, axes))
    found, right = np.zeros(shape), np.zeros(shape)
    points: Any = None
    estimate = reestimation(risk) if reestimate else None
    start, accuracy = risk.weights(), None
    with risk.restored():
        for number, place in enumerate(_to_and_fro(*shape)):
            steps = [axis[i] for axis, i in zip(axes, place, strict=True)]
            moves = (a * d for a, d in zip(steps, lines, strict=True))
            risk.assign(start + sum(moves))
            if estimate:
                estimate()
            if every == 1:
                points = risk.points()
            elif number % every == 0:
                points = [*risk.points()]
            found[place], accuracy = risk.measured(points)
            right[place] = accuracy or 0.0
    return Landscape(axes, found, None if accuracy is None else right)


def _each(directions):
    """The one or two directions."""
    single = isinstance(directions, str) or not (
        isinstance(directions[0], str) or np.ndim(directions[0])
    )
    found = [directions] if single else directions
    expected = "be one or a pair"
    checks.argument(len(found) in _POINTS, "directions", expected, directions)
    return found


def _axes(grid, count):
    """How far to go along each direction, float64."""
    if grid is None:
        grid = np.linspace(-1, 1, _POINTS[count])
    grid = [grid] * count if not np.ndim(grid[0]) else grid
    axes = tuple(np.asarray(axis, np.float64) for axis in grid)
    fine = len(axes) == count and all(
        axis.ndim == 1 and np.all(np.isfinite(axis)) for axis in axes
    )
    expected = f"be finite numbers, or such an array for each of {count}"
    checks.argument(fine, "grid", expected, grid)
    return axes


def _to_and_fro(*shape):
    """The places of a grid, each a neighbour of the one before."""
    for place in itertools.product(*map(range, shape)):
        if len(shape) == 2 and place[0] % 2:
            yield place[0], shape[1] - 1 - place[1]
        else:
            yield place
