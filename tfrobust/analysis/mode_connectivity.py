"""Curves of low loss between two sets of weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfrobust import checks
from tfrobust.analysis.chain import CURVES, Chain, straight
from tfrobust.analysis.chain_training import ChainTraining
from tfrobust.analysis.connection import Connection
from tfrobust.analysis.loss_hessian import check_name
from tfrobust.analysis.risk import Risk
from tfrobust.analysis.states import check_alike, reestimation, trainable_of
from tfrobust.attack import Attack
from tfrobust.averaging import on_network
from tfrobust.types import Loss, Model, TensorLike

_MEASURED = "clean_loss clean_accuracy attacked_loss attacked_accuracy".split()


@on_network
def mode_connectivity(
    model: Model,
    ends: Sequence[Sequence[np.ndarray]],
    data: Any,
    attack: Attack | None = None,
    loss: Loss | str | None = None,
    curve: str = "bezier",
    points: int = 5,
    epochs: int = 20,
    optimizer: Any = None,
    validation_data: Any = None,
    grid: TensorLike | None = None,
    batch_size: int = 128,
    seed: int = 0,
) -> Connection:
    """Looks for a curve of low loss between two sets of weights.

    The ends stay. The points in between start on the line between the ends and
    are trained: each batch draws t from U(0, 1), attacks the network of the
    weights at that t, and takes a step down the gradient of the loss there, in
    training mode. Then the curve is scanned: at each t, ends included, the
    statistics of batch normalisation are estimated anew on `data`, attacked if
    there is an attack, and loss and accuracy are measured in inference mode.

    Args:
        model: A `RobustModel` or a Keras model of logits, whose weights come
            back as they were.
        ends: Two lists of weights, as `model.get_weights()` gives them.
        data: What to train on: a pair of arrays `(x, y)`, shuffled each epoch,
            or a batched `tf.data.Dataset` of them.
        attack: An `Attack`, which runs at each t; None trains on the data.
        loss: A Keras loss on logits, a function `(y, logits) -> [batch]`, the
            name of either; None for cross entropy.
        curve: `"bezier"`, or `"polygon"` for a chain of straight lines.
        points: Number of control points, ends included, at least 2.
        epochs: Passes over `data`; 0 leaves the straight line.
        optimizer: A Keras optimizer, of which a copy is used, or its name;
            None for SGD of rate 0.1 and momentum 0.9.
        validation_data: What to scan on; None for `data`.
        grid: Where to scan, ascending from 0 to 1; None for steps of 0.02.
        batch_size: Number of examples in a batch of arrays.
        seed: Integer that keys t and the shuffling.

    Returns:
        A `Connection`: losses, accuracies and the barrier.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If one is out of its range, the ends aren't of this model,
            or they differ in weights that aren't trained.

    Example:
        ends = one.get_weights(), other.get_weights()
        found = tfr.analysis.mode_connectivity(one, ends, (x, y), attack=pgd)
        print(found.barrier)

    Reference: Garipov et al., 2018, arXiv 1802.10026, section 3; under
    attack: Liu et al., 2020, arXiv 2006.08403.
    """
    check_name(curve, "curve", CURVES)
    checks.count(points, "points", least=2)
    checks.count(epochs, "epochs", least=0)
    places = _grid(grid)
    risk = Risk(model, data, loss, attack, batch_size)
    expected = "be two lists of weights"
    checks.argument(len(ends) == 2, "ends", expected, f"{len(ends)} of them")
    trainable = [trainable_of(risk, end, "ends") for end in ends]
    check_alike(risk, *ends)
    with risk.restored():
        risk.network.set_weights(ends[0])
        training = ChainTraining(
            risk, straight(trainable, points), curve, optimizer, seed
        )
        history = [training.epoch() for _ in range(epochs)]
        chain = Chain(training.points(), curve)
        held = data if validation_data is None else validation_data
        clean = Risk(model, held, loss, None, batch_size)
        attacked = attack and Risk(model, held, loss, attack, batch_size)
        found = _scanned(chain, places, risk, clean, attacked)
    return Connection(places, history=np.array(history), chain=chain, **found)


def _grid(grid) -> np.ndarray:
    grid = np.linspace(0, 1, 51) if grid is None else np.asarray(grid, float)
    fine = grid.ndim == 1 and len(grid) > 1 and bool(np.all(np.diff(grid) > 0))
    fine = fine and grid[0] == 0 and grid[-1] == 1
    checks.argument(fine, "grid", "ascend from 0 to 1", f"{grid}")
    return grid


def _scanned(chain, grid, risk, *measures) -> Any:
    """Losses and accuracies over the grid, by name."""
    estimate = reestimation(risk)
    rows: list[list] = []
    for t in grid:
        for variable, value in zip(risk.variables, chain.at(t), strict=True):
            variable.assign(value)
        if estimate:
            estimate()
        rows.append([])
        for each in measures:
            rows[-1] += each.measured(each.points()) if each else (None, None)
    return {
        name: None if column[0] is None else np.array(column)
        for name, *column in zip(_MEASURED, *rows, strict=True)
    }
