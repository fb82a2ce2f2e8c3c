"""Patches, placed and filled by an attacker."""

import tensorflow as tf

from tfrobust import checks, streams
from tfrobust.attack import Attack
from tfrobust.attacks import severity
from tfrobust.attacks.ensemble import tried
from tfrobust.attacks.pgd import PGD
from tfrobust.backend import register
from tfrobust.threats import Box, Patch


@register
class PatchAttack(Attack):
    """PGD on the pixels of a square, at one place after the other.

    Places are tried until an example is misclassified; where it never is, the
    answer is the point of largest margin loss.

    Args:
        threat: A `Patch`.
        steps: Steps of PGD at each place, at least 1.
        step_size: Length of a step as a fraction of the range, positive.
        stride: Pixels from one place to the next; the last ones of the image
            are tried, too. A stride of 1 tries every place.
        places: How many of these are tried, drawn for each example; None for
            all.
        seed: Integer that keys the places and the random starts.

    Call arguments:
        x: Images in `[threat.low, threat.high]`, float32, of shape
            `[batch, height, width, channels]`.
        y: Integer labels, shape `[batch]`.

    Raises:
        TypeError: If `threat` isn't a `Patch`.
        ValueError: If an argument is out of its range, or the square doesn't
            fit into the images.

    Example:
        `PatchAttack(Patch(2), steps=5, stride=2).perturb(model, x, y)`

    Reference: Brown et al., 2017, arXiv 1712.09665; by PGD, place by place:
    Chiang et al., 2020, arXiv 2003.06693, section 3.
    """

    def __init__(
        self,
        threat: Patch,
        steps: int = 20,
        step_size: float = 0.1,
        stride: int = 2,
        places: int | None = None,
        seed: int = 0,
    ):
        checks.kind(threat, Patch, "threat", "tfr.threats.Patch(5)")
        checks.count(stride, "stride")
        if places is not None:
            checks.count(places, "places")
        self.threat, self.steps, self.step_size = threat, steps, step_size
        self.stride, self.places = stride, places
        self.seed = seed
        self._inside(Box([[1.0]]))

    def _perturb(self, model, x, y, start, step):
        logits = self.logits(model, x, y)
        y = checks.labels(y, logits)
        corners = self._corners(x, streams.fold(self.seed, step))

        def place(number, *found):
            box = self.threat.box_at(x, corners[:, number])
            key = streams.fold(step, number)
            found = tried(self._inside(box), model, found, x, y, None, key)
            return number + 1, *found

        return tf.while_loop(
            lambda number, point, lead: tf.reduce_any(lead <= 0),
            place,
            (0, x, severity.lead(y, logits)),
            maximum_iterations=corners.shape[1],
        )[1]

    def _inside(self, box):
        """PGD on the pixels of a box."""
        return PGD(box, self.steps, self.step_size, seed=self.seed)

    def _corners(self, x, seed):
        """Where to place the square, in turn: `[batch, places, 2]`."""
        ends = self.threat.ends(x)
        if self.threat.corner is not None:
            every = tf.constant([self.threat.corner])
        else:
            rows, columns = (
                tf.constant([*range(0, end, self.stride), end]) for end in ends
            )
            grid = tf.meshgrid(rows, columns, indexing="ij")
            every = tf.reshape(tf.stack(grid, axis=-1), [-1, 2])
        return drawn(every, self.places, x, seed)


def drawn(
    every: tf.Tensor, count: int | None, x: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Some of all choices for each example, without repetition.

    Args:
        every: All choices, shape `[choices, any]`.
        count: How many; None for all, in their order.
        x: Inputs, shape `[batch, ...]`, that key the streams.
        seed: Scalar integer.

    Returns:
        Shape `[batch, count, any]`.
    """
    whole = every.shape[0]
    if count is None or count >= whole:
        return tf.repeat(every[tf.newaxis], tf.shape(x)[0], axis=0)
    lots = streams.draw(streams.keys(x), seed, whole)
    return tf.gather(every, tf.math.top_k(lots, count).indices)
