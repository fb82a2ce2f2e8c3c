"""How many weights each layer keeps, from one density of the network."""

from collections.abc import Sequence

from tfrobust import checks


def layer_densities(
    sizes: Sequence[int], density: float, p: float = 0.1
) -> list[float]:
    """Distributes the kept weights: layer i keeps about `c * sizes[i] ** p`.

    The constant c makes the total `density * sum(sizes)`. No layer keeps more
    than it has: layers are filled from the smallest on, and c is worked out
    anew from what is left after each.

    Args:
        sizes: Number of weights of each layer.
        density: Fraction of all weights that is kept, in (0, 1].
        p: In [0, 1]. At 1 every layer has the same density, at 0 every layer
            keeps the same number of weights.

    Returns:
        The density of each layer, in the order of `sizes`.

    Raises:
        ValueError: If an argument is out of its range, or the density is too
            small for one weight in each layer.

    Example:
        `tfr.compression.layer_densities([72, 1152, 2560], density=0.1)`

    Reference: Liu et al., 2022, arXiv 2202.01341.
    """
    checks.positive(density, "density", high=1)
    checks.number(p, "p", 0, 1)
    fine = isinstance(sizes, (list, tuple))
    checks.argument(fine, "sizes", "be a list", repr(sizes))
    for size in sizes:
        checks.count(size, "sizes")
    densities = [0.0] * len(sizes)
    budget = density * sum(sizes)
    order = sorted(range(len(sizes)), key=lambda i: sizes[i])
    for place, i in enumerate(order):
        c = budget / sum(sizes[j] ** p for j in order[place:])
        densities[i] = min(1.0, c * sizes[i] ** (p - 1))
        kept = int(densities[i] * sizes[i])
        if kept < 1:
            raise ValueError(
                "`density` must leave at least one weight in each layer. "
                f"Received: density={density} and p={p}, which leave none of "
                f"{sizes[i]}. Pass a larger density"
                + (", or p=0." if p > 0 else ".")
            )
        budget = int(budget) - kept
    return densities
