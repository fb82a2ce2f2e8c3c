"""How hard instances are to learn."""

from typing import Any

import numpy as np

from tfrobust import checks
from tfrobust.types import TensorLike

_KINDS = ("easy", "hard", "random")


def difficulty(model: Any, by: str = "loss") -> np.ndarray:
    """Ranks the instances that `tfr.objectives.Recorded` has recorded.

    Args:
        model: A `RobustModel` trained with `Recorded`.
        by: What ranks: the mean `"loss"` or `"entropy"`, large is hard; the
            share of `"correct"` visits, small is hard; or the `"last"` loss.

    Returns:
        The percentile of each instance, shape `[instances]`, float64: 0 the
        hardest, 1 the easiest, of mean 0.5. Instances alike share theirs.

    Raises:
        ValueError: If nothing was recorded, or `by` is unknown.

    Example:
        ```
        model.compile("sgd", objective=tfr.objectives.Recorded(objective))
        model.fit(tfr.instances.Indexed(x, index), y, epochs=20)
        print(tfr.instances.difficulty(model)[:5])
        ```

    Reference: Liu et al., 2021, arXiv 2112.07324, equation 2.
    """
    expected = "be one of loss, entropy, correct, last"
    known = by in ("loss", "entropy", "correct", "last")
    checks.argument(known, "by", expected, by)
    memory = model.memory
    if by == "last":
        return percentiles(memory.values("recorded_loss"))
    sums, counts = memory.values(f"{by}_sum"), memory.values("recorded")
    if np.min(counts) == 0:
        raise ValueError(
            "Every instance must have been recorded. Received: "
            f"{np.sum(counts == 0)} of {len(counts)} that weren't. Train for "
            "more epochs than Recorded(skip=...) skips."
        )
    means = sums / counts
    return percentiles(-means if by == "correct" else means)


def percentiles(losses: TensorLike) -> np.ndarray:
    """Percentiles of losses: 0 the largest, 1 the smallest.

    `P(loss < other) + P(loss = other) / 2` for another one drawn uniformly.

    Args:
        losses: One number for each instance, shape `[instances]`.

    Raises:
        ValueError: If they aren't numbers in a row.

    Example:
        `tfr.instances.percentiles([0.1, 2.0, 0.5])  # 1, 0 and 0.5.`
    """
    losses = _row(losses, "losses")
    values, place, counts = np.unique(
        losses, return_inverse=True, return_counts=True
    )
    del values
    below = np.cumsum(counts) - counts
    above = len(losses) - below - counts
    return ((above + counts / 2) / len(losses))[place]


def groups(difficulty: TensorLike, count: int = 10) -> np.ndarray:
    """The group of each instance: i of percentiles in `[i, i + 1) / count`.

    Example:
        `tfr.instances.groups([0.05, 0.95, 0.5])  # 0, 9 and 5.`
    """
    checks.count(count, "count")
    found = np.floor(_row(difficulty, "difficulty") * count).astype(int)
    return np.minimum(found, count - 1)


def group_means(
    values: TensorLike, difficulty: TensorLike, count: int = 10
) -> np.ndarray:
    """Means over the groups of instances of one difficulty.

    Args:
        values: Of each instance, epoch by epoch, `[epochs, instances]`.
        difficulty: Their percentiles, shape `[instances]`.
        count: Number of groups.

    Returns:
        Shape `[epochs, count]`, the hardest first; NaN of an empty group.

    Raises:
        ValueError: If they aren't of the same instances.

    Example:
        ```
        losses = [[2.0, 0.1, 0.7], [1.0, 0.1, 0.2]]  # Of two epochs.
        means = tfr.instances.group_means(losses, [0.05, 0.95, 0.5])
        ```
    """
    group = groups(difficulty, count)
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or values.shape[1] != len(group):
        raise ValueError(
            "`values` must have shape [epochs, instances] for "
            f"{len(group)} instances. Received: {checks.shown(values)}"
        )
    member = group[:, np.newaxis] == np.arange(count)
    sizes = np.where(np.any(member, axis=0), np.sum(member, axis=0), np.nan)
    return values @ member / sizes


def subset(
    difficulty: TensorLike,
    labels: TensorLike,
    size: int,
    kind: str = "hard",
    seed: int = 0,
) -> np.ndarray:
    """Positions of the easiest, hardest, or any instances, as many a class.

    Args:
        difficulty: Percentiles, see `difficulty`, shape `[instances]`.
        labels: Their classes, shape `[instances]`.
        size: How many to choose; a multiple of the number of classes.
        kind: `"easy"`, `"hard"` or `"random"`.
        seed: Of the random ones.

    Returns:
        Increasing positions, shape `[size]`.

    Raises:
        ValueError: If the classes haven't got as many instances.

    Example:
        ```
        found = [0.1, 0.9, 0.4, 0.6]
        hard = tfr.instances.subset(found, [0, 0, 1, 1], size=2)
        ```
    """
    difficulty = _row(difficulty, "difficulty")
    labels = np.ravel(labels)
    checks.argument(kind in _KINDS, "kind", "be easy, hard or random", kind)
    classes, counts = np.unique(labels, return_counts=True)
    each, rest = divmod(size, len(classes))
    if len(labels) != len(difficulty) or rest or each > np.min(counts):
        raise ValueError(
            "`size` must be a multiple of the number of classes, of which each "
            f"has as many instances. Received: size={size}, {len(classes)} "
            f"classes with {np.min(counts)} or more of {len(labels)} labels, "
            f"and {len(difficulty)} percentiles."
        )
    random = np.random.default_rng(seed).permutation(len(labels))
    order = {"easy": -difficulty, "hard": difficulty, "random": random}[kind]
    ranked = np.argsort(order, kind="stable")
    chosen = [ranked[labels[ranked] == label][:each] for label in classes]
    return np.sort(np.concatenate(chosen))


def rank_correlation(one: TensorLike, other: TensorLike) -> float:
    """Spearman's rank correlation of two difficulties; ties share a rank.

    Raises:
        ValueError: If they are of different lengths, or all alike.

    Example:
        `tfr.instances.rank_correlation([0.1, 0.5, 0.9], [0.2, 0.3, 0.8])`
    """
    one, other = _row(one, "one"), _row(other, "other")
    ranks = [percentiles(values) - 0.5 for values in (one, other)]
    norms = [np.linalg.norm(rank) for rank in ranks]
    if len(one) != len(other) or 0 in norms:
        raise ValueError(
            "`one` and `other` must rank the same instances. Received: "
            f"{len(one)} and {len(other)} values, of "
            f"{len(np.unique(one))} and {len(np.unique(other))} ranks."
        )
    return float(ranks[0] @ ranks[1] / np.prod(norms))


def _row(values, name):
    """Values as a row of finite float64."""
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or not len(found) or not np.all(np.isfinite(found)):
        raise ValueError(
            f"`{name}` must be finite numbers, one for each instance, shape "
            f"[instances]. Received: {checks.shown(values)}"
        )
    return found
