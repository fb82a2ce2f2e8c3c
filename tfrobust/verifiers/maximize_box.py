"""The largest box that a verifier can certify around each example."""

import numpy as np
import tensorflow as tf

from tfrobust import checks, losses
from tfrobust.threats import Box
from tfrobust.threats.rows import column, flat
from tfrobust.tracing import compiled
from tfrobust.types import Model, TensorLike
from tfrobust.verifier import Verifier
from tfrobust.verifiers.augmented_lagrangian import augmented_lagrangian
from tfrobust.verifiers.bounding import Bounding
from tfrobust.verifiers.certified_boxes import CertifiedBoxes

HALVINGS = 24
BEYOND = 1.1  # How much further than the optimiser's last box to look.
TINY = 1e-30  # What has no logarithm is counted as this.


def maximize_box(
    model: Model,
    x: TensorLike,
    y: TensorLike,
    verifier: Verifier,
    steps: int = 400,
    step_size: float = 0.1,
    slack: float = 1e-4,
) -> CertifiedBoxes:
    """Gives every feature a radius of its own, and the box the most volume.

    Maximises the sum of the logarithms of the radii subject to certified
    margins. It starts from the largest certified cube, which bisection finds,
    and ends on the way from the best box seen to one that is too large, by
    bisection again. Then every box is certified once more.

    A radius is at most the width of the valid range. What the range alone
    bounds, such as how far black may darken, costs nothing and ends there: the
    volume is that of the radii, not of what the range leaves of the box.

    Args:
        model: Any callable `model(x, training=False) -> logits`.
        x: Inputs in the valid range, shape `[batch, ...]`.
        y: Integer labels, shape `[batch]`.
        verifier: A verifier such as `CROWNIBP`, whose threat is a `Linf` or a
            `Box`. Range and mask are those of the threat; its radius isn't
            used.
        steps: Iterations of the optimiser, at least 1.
        step_size: By how much of itself a radius moves in the first ones.
        slack: What certified margins must exceed while the box is sought, so
            that rounding can't take the last certificate away.

    Returns:
        `CertifiedBoxes`. No box has less volume than its cube. An example for
        which not even a cube is certified has radii of 0.

    Raises:
        ValueError: If the verifier doesn't bound traced networks over boxes in
            a finite range, or another argument isn't as expected.

    Example:
        `maximize_box(model, x, y, tfr.verifiers.CROWNIBP(linf))`

    Reference: Liu et al., 2019, arXiv 1903.06603.
    """
    _check(verifier, x, steps, slack)
    threat = verifier.threat
    x = threat.checked(x)
    problem = _Problem(model, verifier, slack, x, y)
    furthest = _compiled(problem.furthest, x, x)
    certified = _compiled(problem.certified, x)
    ascend = _compiled(problem.ascender(steps, step_size), x)

    cube = furthest(tf.zeros_like(x), problem.widest)
    best, last = ascend(cube)
    radii = furthest(best, last)

    # Both were certified when they were found; now again, on their own.
    gained = certified(radii) & problem.larger(radii, cube)
    radii = _where(gained, radii, cube)
    fine = certified(radii) & tf.reduce_any(flat(cube) > 0, axis=1)
    radii, cube = (_where(fine, box, 0.0) for box in (radii, cube))
    return CertifiedBoxes(
        x.numpy(),
        Box(radii.numpy(), threat.low, threat.high, threat.mask),
        tf.reduce_max(flat(cube), axis=1).numpy(),
        fine.numpy(),
        problem.free.numpy(),
    )


class _Problem:
    """Which boxes around some examples are certified, and how large they are.

    Attributes:
        free: 1 where the mask lets a feature move, of x's shape.
        widest: The largest box.
    """

    def __init__(self, model, verifier, slack, x, y):
        self._model, self._verifier, self._slack = model, verifier, slack
        self._logits = tf.cast(model(x, training=False), tf.float32)
        self._x, self._y = x, checks.labels(y, self._logits)
        threat = verifier.threat
        self.free = tf.ones_like(x)
        if threat.mask is not None:
            self.free *= tf.cast(threat.mask > 0, tf.float32)
        self.widest = self.free * (threat.high - threat.low)

    def certified(self, radii, slack=0.0):
        """Whether all margins exceed `slack` but the label's own, `[batch]`."""
        margins = self._margins(radii)
        exceeding = tf.math.count_nonzero(margins > slack, axis=1)
        return exceeding == margins.shape[-1] - 1

    def furthest(self, inner, outer):
        """The last certified box on the way from `inner` to `outer`."""

        def between(share):
            return inner + column(share, inner) * (outer - inner)

        def halve(passing, failing):
            middle = (passing + failing) / 2
            fits = self.certified(between(middle), self._slack)
            passing = tf.where(fits, middle, passing)
            return passing, tf.where(fits, failing, middle)

        count = tf.shape(inner)[:1]
        passing, _ = tf.while_loop(
            lambda *_: True,
            halve,
            (tf.zeros(count), tf.ones(count)),
            maximum_iterations=HALVINGS,
        )
        return between(passing)

    def larger(self, first, second):
        """Whether the first box has more volume, by more than rounding."""
        first, second = (self._volume(_logarithm(r)) for r in (first, second))
        return first > second + 1e-6

    def ascender(self, steps, step_size):
        """A function of the cube: the best box seen, and a larger one."""

        def ascend(cube):
            best, last = augmented_lagrangian(
                self._volume,
                self._constraints(),
                _logarithm(cube),
                _logarithm(self.widest),
                tf.zeros_like(self._logits),
                steps,
                step_size,
            )
            best, last = self._radii(best), BEYOND * self._radii(last)
            # The volume is concave: on the way from one box to a larger one
            # none is smaller than the first.
            last = _where(self.larger(last, best), last, BEYOND * best)
            return tuple(tf.minimum(box, self.widest) for box in (best, last))

        return ascend

    def _margins(self, radii):
        over = self._verifier.threat._replace(epsilon=radii)
        verifier = self._verifier._replace(threat=over)
        return verifier.margins(self._model, self._x, self._y)

    def _constraints(self):
        """A function of the radii's logarithms: margins relative to x's."""
        true = losses.true_class(self._y, self._logits)
        label = tf.gather(self._logits, self._y, axis=1, batch_dims=1)
        clean = label[:, tf.newaxis] - self._logits - self._slack
        scale = tf.where(clean > 0, clean, 1.0)

        def constraints(rows):
            margins = self._margins(self._radii(rows)) - self._slack
            return tf.where(true, 1.0, margins / scale)

        return constraints

    def _volume(self, rows):
        """Mean of the radii's logarithms, `[batch]`."""
        free = flat(self.free)
        count = tf.maximum(tf.reduce_sum(free, axis=1), 1.0)
        return tf.reduce_sum(free * rows, axis=1) / count

    def _radii(self, rows):
        return self.free * tf.reshape(tf.exp(rows), tf.shape(self.free))


def _check(verifier, x, steps, slack):
    if not isinstance(verifier, Bounding):
        raise ValueError(
            "`verifier` must bound a traced network, such as "
            f"tfr.verifiers.CROWNIBP(threat). Received: {verifier!r}"
        )
    threat = verifier.threat
    if not (threat.is_box and np.all(np.isfinite(threat.high - threat.low))):
        raise ValueError(
            "`verifier` must be one of boxes in a finite range, such as "
            "tfr.verifiers.CROWNIBP(tfr.threats.Linf(0.1)). Received: "
            f"{verifier!r}"
        )
    if len(x) == 0:
        raise ValueError("`x` must hold at least one example.")
    if steps < 1 or not slack >= 0:
        raise ValueError(
            "`steps` must be at least 1 and `slack` at least 0. Received: "
            f"steps={steps}, slack={slack}"
        )


def _compiled(function, *arguments):
    """The function for arguments of these shapes, traced once."""
    return compiled(function).get_concrete_function(*arguments)


def _logarithm(radii):
    return tf.math.log(tf.maximum(flat(radii), TINY))


def _where(condition, first, second):
    """Chooses whole examples."""
    return tf.where(column(condition, first), first, second)
