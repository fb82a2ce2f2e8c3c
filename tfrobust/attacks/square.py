"""The Square attack."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks, losses, streams
from tfrobust.attack import Attack
from tfrobust.attacks import severity, square_moves, windows
from tfrobust.attacks.active import on_active, while_active, worse
from tfrobust.backend import register
from tfrobust.threats import Threat


@register
class Square(Attack):
    """Random search by square windows, without any gradient.

    Each query changes one window of each image at a random place and keeps
    the change where it makes the loss larger or the model err. Under linf the
    window is set to one corner of the ball for each channel. Under l2 and l1
    the perturbation of a second window, and what is left of epsilon, move to
    the first in the shape of two pyramids of opposite signs.

    An example that the model gets wrong, be it x itself, is finished, and no
    longer computed.

    Args:
        threat: The set to search, a `Threat`.
        queries: Number of times that the model is asked about each example in
            a run, besides x itself; at least 1.
        initial_fraction: Fraction of the pixels that the first windows
            change, the p of the paper.
        restarts: Number of runs, of which the worst point is kept.
        loss: What to increase, as in `PGD`, on class labels.
        rescale_schedule: Whether the schedule by which windows shrink, made
            for 10000 queries, is fitted to `queries`.
        overdraw: How many times its share of perturbation a window takes
            under l2 and l1, at least 1. What is too much is cut off by the
            valid range, or taken from all features alike. 1 is the paper's,
            and weaker where features are at the edge of the range.
        seed: Integer that keys the windows and their signs.

    Call arguments:
        x: Inputs in `[threat.low, threat.high]`, float32. Images of shape
            `[batch, height, width, channels]` are searched by squares. Inputs
            of another rank are searched by windows of neighbours on the strip
            of all features.
        y: Integer labels, shape `[batch]`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        `tfr.attacks.Square(tfr.threats.Linf(8 / 255), queries=1000)`

    Reference: Andriushchenko et al., 2020, arXiv 1912.00049, algorithms 1 to
    3; the exact projection on the l1 ball and the range: Croce and Hein, 2021,
    arXiv 2103.01208.
    """

    of_labels = True  # What the model gets wrong is finished.

    def __init__(
        self,
        threat: Threat,
        queries: int = 5000,
        initial_fraction: float = 0.8,
        restarts: int = 1,
        loss: Any = "margin",
        rescale_schedule: bool = False,
        overdraw: float = 2.0,
        seed: int = 0,
    ):
        checks.kind(threat, Threat, "threat", "tfr.threats.Linf(8 / 255)")
        checks.count(queries, "queries")
        checks.count(restarts, "restarts")
        checks.positive(initial_fraction, "initial_fraction", high=1)
        checks.number(overdraw, "overdraw", 1)
        losses.get(loss)
        self.threat, self.queries = threat, queries
        self.initial_fraction, self.restarts = initial_fraction, restarts
        self.loss, self.rescale_schedule = loss, rescale_schedule
        self.overdraw, self.seed = overdraw, seed

    def _perturb(self, model, x, y, start, step):
        logits = self.logits(model, x, y)
        y = checks.labels(y, logits)
        images, threat = _as_images(x, self.threat)
        seed = streams.fold(self.seed, step)

        def judged(images, y):
            shape = tf.concat([[-1], tf.shape(x)[1:]], axis=0)
            points = tf.reshape(images, shape)
            return images, self._judged(y, self.logits(model, points, y))

        def restart(number, *found):
            def run(found, *problem):
                run_seed = streams.fold(seed, number)
                return worse(self._run(judged, run_seed, *problem), found)

            ends = square_moves.limits(threat, images)
            inputs = threat, images, y, ends, streams.keys(x)
            return number + 1, *on_active(run, _active(found), found, *inputs)

        found = tf.while_loop(
            lambda number, *found: tf.reduce_any(_active(found)),
            restart,
            (0, images, self._judged(y, logits)),
            maximum_iterations=self.restarts,
        )[1]
        return tf.reshape(found, tf.shape(x))

    def _judged(self, y, logits):
        """The loss of each example, infinite where the model errs."""
        values = severity.ascended(self.loss, y, logits)
        return severity.judged(values, logits, losses.margin(y, logits) > 0)

    def _run(self, judged, seed, threat, x, y, ends, keys):
        """Searches from one start; returns images and their losses."""
        begin = streams.fold(seed, 0)
        start = square_moves.start(threat, x, ends, keys, begin, self.overdraw)
        seed = streams.fold(seed, 1)
        fractions = windows.fractions(
            self.queries, self.initial_fraction, self.rescale_schedule
        )

        def query(number, state, threat, x, y, ends, keys):
            fraction = tf.gather(fractions, number + 1)  # The start is 0.
            change = square_moves.change(
                threat,
                x,
                ends,
                state[0],
                fraction,
                keys,
                seed,
                number,
                self.overdraw,
            )
            return worse(judged(change, y), state)

        inputs = judged(start, y), threat, x, y, ends, keys
        return while_active(query, _active, self.queries - 1, *inputs)


def _as_images(x, threat):
    """Returns x and its threat in the shape of images.

    Features of another rank form one row of pixels. The threat's epsilon is
    that of each feature, 0 where it may not move.
    """
    batch = tf.shape(x)[0]
    shape = tf.shape(x) if x.shape.rank == 4 else [batch, 1, -1, 1]
    parts = {"epsilon": tf.reshape(threat.radii(x), shape), "mask": None}
    for name in ("low", "high"):
        end = getattr(threat, name)
        if np.ndim(end):  # One for each feature, of all examples.
            end = tf.broadcast_to(end, [1, *x.shape[1:]])
            parts[name] = tf.reshape(end, [1, *shape[1:]])
    return tf.reshape(x, shape), threat._replace(**parts)


def _active(state):
    return state[1] < math.inf
