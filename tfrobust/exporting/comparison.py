"""What was written answers like what it was written from."""

import numpy as np

# Graph rewrites reorder sums, which costs a deep network some of the 24 bits
# of its float32 logits. This grants 14 of them; a wrong kernel differs by far
# more, and single bits are guarded by checksums.
TOLERANCE = 2.0**-10
# Bounds whose slopes are optimised step by step spread roundings further.
TOLERANCE_OF_MARGINS = 2.0**-5


def probes(spec, low=0.0, high=1.0, count=4):
    """Random inputs, with 32 for a size that is open, and ends for a range."""
    low = np.where(np.isfinite(low), low, np.minimum(-1.0, high - 1))
    high = np.where(np.isfinite(high), high, np.maximum(1.0, low + 1))
    shape = [size or 32 for size in spec.shape[1:]]
    random = np.random.default_rng(0).random([count, *shape], np.float32)
    return low.astype(np.float32) + random * (high - low).astype(np.float32)


def check_equal(name, found, expected, tolerance=TOLERANCE):
    """Refuses answers of a copy that differ from those of the original.

    Args:
        name: What is compared.
        found: The copy's answers, shape `[batch, ...]`.
        expected: Those of the original.
        tolerance: Largest difference, as a fraction of the largest magnitude.

    Raises:
        ValueError: If any differ, shapes included, or one is NaN.
    """
    found = np.asarray(found, np.float64)
    expected = np.asarray(expected, np.float64)
    if found.shape != expected.shape:
        raise ValueError(
            f"The exported model's {name} must have the shape of the "
            f"original's, {expected.shape}, so it was not kept. Received: "
            f"{found.shape}"
        )
    # Equal infinities differ by NaN.
    gap = np.where(found == expected, 0.0, np.abs(found - expected))
    gap = np.max(gap, initial=0.0)
    scale = np.max(np.abs(expected), where=np.isfinite(expected), initial=0.0)
    if not gap <= tolerance * scale:
        raise ValueError(
            f"The exported model differs from the original by {gap:.3g} in its "
            f"{name}, of magnitude {scale:.3g}, so it was not kept. At most "
            f"{tolerance:.2g} of that can be rounding. Does the network have "
            "random layers?"
        )
