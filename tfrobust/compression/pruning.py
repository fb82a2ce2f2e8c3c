"""From a network to one whose smallest weights become zero in training."""

import math
from collections.abc import Collection
from typing import Any

from tfrobust.backend import keras
from tfrobust.compression.cloning import clone, duplicate, leaves
from tfrobust.compression.comparison import compare
from tfrobust.compression.tfmot import (
    check_found,
    chosen,
    has_other_kernels,
    named,
    takes_network,
    tfmot,
)


@takes_network
def prune(
    model: keras.Model,
    schedule: Any = None,
    m_by_n: tuple[int, int] | None = None,
    block_size: tuple[int, int] = (1, 1),
    block_pooling: str = "AVG",
    layers: Collection[str] | None = None,
) -> keras.Model:
    """Returns a copy in which TF-MOT prunes weights during `fit`.

    Needs TF-MOT's callback `UpdatePruningStep`. The schedule counts the steps
    of `RobustModel` from 1 on, whatever the objective. `strip` makes stock
    layers of the result. A `RobustModel` of it is saved as `.keras` and loaded
    as any other; other files are loaded under `tfr.compression.scope()`.
    Attacks in training need a strategy of one replica.

    Args:
        model: A built functional or Sequential model, or a `RobustModel`.
        schedule: When to prune how much, a `PruningSchedule` of TF-MOT.
        m_by_n: Instead of a schedule, `(2, 4)` for two zeros among any four
            consecutive input channels, from the first step on.
        block_size: Height and width of the blocks of a matrix that are pruned
            together, for Dense layers.
        block_pooling: What a block is ranked by, `"AVG"` or `"MAX"`.
        layers: Names of the layers to prune; None for all but frozen ones.

    Raises:
        NotImplementedError: If layers cannot be pruned; all are listed.
        TypeError: If the schedule isn't one.
        ValueError: If the model or another argument isn't as described.

    Example:
        tfmot = tensorflow_model_optimization.sparsity.keras
        network = tfr.compression.prune(
            network, tfmot.PolynomialDecay(0.0, 0.9, 0, 2_000)
        )
        model = tfr.RobustModel(network)
        model.compile("adam", objective=objective)
        model.fit(x, y, callbacks=[tfmot.UpdatePruningStep()])

    Reference: Zhu and Gupta, 2017, arXiv 1710.01878.
    """
    from tfrobust.compression.pruned import Pruned

    _check_arguments(schedule, m_by_n, block_size, block_pooling)
    # TF-MOT's default is what it ignores for m of n.
    arguments = {"pruning_schedule": schedule} if schedule else {}
    arguments |= {
        "sparsity_m_by_n": m_by_n,
        "block_size": block_size,
        "block_pooling_type": block_pooling,
    }
    copy = duplicate(model)
    named_layers = chosen(leaves(copy), layers)
    wrappers = {}
    for layer in named_layers:
        try:
            wrapper = Pruned(layer, **arguments)
        except ValueError:  # TF-MOT doesn't know the layer.
            continue
        reached = layer.get_prunable_weights()
        if reached and not has_other_kernels(layer, reached):
            wrappers[layer] = wrapper
    _check_kernels(named_layers, wrappers, layers)
    _check_shapes(wrappers, m_by_n, block_size)
    check_found(wrappers, model)
    pruned = clone(copy, wrappers.get)
    compare(model, pruned)
    return pruned


def _check_arguments(schedule, m_by_n, block_size, block_pooling):
    kind = tfmot().sparsity.keras.PruningSchedule
    if schedule is not None and not isinstance(schedule, kind):
        raise TypeError(
            "`schedule` must be a PruningSchedule of TF-MOT, such as "
            "tensorflow_model_optimization.sparsity.keras.ConstantSparsity("
            f"0.5, begin_step=0). Received: schedule={schedule!r}"
        )
    if (schedule is None) == (m_by_n is None):
        raise ValueError(
            "Either `schedule` or `m_by_n` says what to prune. Received: "
            f"schedule={schedule} and m_by_n={m_by_n}. With m_by_n, masks are "
            "made once, at the first step."
        )
    if m_by_n is not None and not (
        _pair(m_by_n) and m_by_n[0] < m_by_n[1] and tuple(block_size) == (1, 1)
    ):
        raise ValueError(
            "`m_by_n` must be two whole numbers, the first the smaller, "
            f"without blocks. Received: m_by_n={m_by_n} and "
            f"block_size={block_size}"
        )
    if not _pair(block_size):
        raise ValueError(
            "`block_size` must be a height and a width of at least 1. "
            f"Received: block_size={block_size}"
        )
    if block_pooling not in ("AVG", "MAX"):
        raise ValueError(
            "`block_pooling` must be 'AVG' or 'MAX'. Received: "
            f"block_pooling={block_pooling!r}"
        )


def _pair(numbers):
    """Whether these are two positive whole numbers."""
    return (
        isinstance(numbers, (tuple, list))
        and len(numbers) == 2
        and all(isinstance(n, int) and n >= 1 for n in numbers)
    )


def _check_kernels(layers, wrappers, names):
    """Refuses all layers with a kernel that TF-MOT cannot prune."""
    refused = [
        layer
        for layer in layers
        if layer not in wrappers
        and (names or any(len(w.shape) > 1 for w in layer.trainable_weights))
    ]
    if refused:
        raise NotImplementedError(
            "TF-MOT must be able to prune every kernel of every layer. "
            f"Received also: {named(refused)}. Name the layers to prune in "
            "`layers`."
        )
    mixed = [x for x in wrappers if x.compute_dtype != x.variable_dtype]
    if mixed:
        raise NotImplementedError(
            "TF-MOT prunes layers that compute in the precision of their "
            f"weights. Received mixed precision: {named(mixed)}. Build the "
            'network in "float32".'
        )


def _check_shapes(wrappers, m_by_n, block_size):
    """Refuses all layers whose kernels don't fit the pattern."""
    blocks = math.prod(block_size) > 1
    refused = [
        layer
        for layer in wrappers
        for weight in layer.get_prunable_weights()
        if (blocks and len(weight.shape) != 2)
        or (m_by_n and _indivisible(weight.shape, m_by_n[1]))
    ]
    if not refused:
        return
    need = (
        f"`block_size`={tuple(block_size)} needs kernels of two axes."
        if blocks
        else f"`m_by_n`={m_by_n} needs Dense or Conv2D kernels with a multiple "
        f"of {m_by_n[1]} input channels."
    )
    raise ValueError(
        f"{need} Received also: {named(refused)}. Name the layers that fit in "
        "`layers`."
    )


def _indivisible(shape, n):
    return len(shape) not in (2, 4) or shape[-2] % n != 0
