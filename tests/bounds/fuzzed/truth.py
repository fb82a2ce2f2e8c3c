"""The smallest margins that a network is seen to have over a threat.

They are upper bounds on the truth, and every one of them is the network's at a
point of the threat: in float32 in a batch, in float32 alone, or in float64.
"""

import numpy as np
import tensorflow as tf

from tests.bounds.fuzzed import sets

STARTS = 4


class Truth:
    """Smallest margins `[batch, classes]`, with where they were met.

    Args:
        network: The `Network`.
        problem: The `Problem`.
        seed: Of the points.
    """

    def __init__(self, network, problem, seed, count=24, steps=4):
        self.network, self.problem = network, problem
        shape = len(problem.x), network.spec.classes
        self.smallest = np.full(shape, np.inf)
        self.where = np.full(shape, "", object)
        self.points = np.repeat(problem.x[:, None], shape[1], 1)
        rng = np.random.default_rng([seed, 3])
        moves = sets.moves(problem, rng, count)
        moves = np.concatenate([moves, sets.grid(problem)])
        self.apart = self._apart(problem.points(moves[:3]))
        if not self.apart:
            moves = moves[:12]
        self._see(problem.points(moves), tf.float32, "float32")
        self._see(problem.points(moves), tf.float64, "float64")
        self._attack(moves, steps)
        self._reread()

    def _apart(self, points):
        """Whether it gives the same in a large batch as in small ones."""
        try:
            together = self._stacked(points, tf.float32)
        except (tf.errors.OpError, ValueError, TypeError):
            return False
        one = np.stack([self._run(p, tf.float32) for p in points])
        return np.allclose(together, one, 1e-4, 1e-4, equal_nan=True)

    def _run(self, x, dtype=tf.float64):
        return np.asarray(self.network(tf.constant(x, dtype)), np.float64)

    def _stacked(self, points, dtype):
        logits = self._run(points.reshape(-1, *points.shape[2:]), dtype)
        return logits.reshape(*points.shape[:2], -1)

    def _logits(self, points, dtype):
        if self.apart:
            return self._stacked(points, dtype)
        return np.stack([self._run(p, dtype) for p in points])

    def _see(self, points, dtype, where, examples=slice(None)):
        """Takes in the margins at points `[points, batch, ...]`."""
        try:
            logits = self._logits(points, dtype)
        except (tf.errors.OpError, ValueError, TypeError):
            if dtype == tf.float64:  # An op that only float32 has.
                return
            raise
        self._take(logits, points, where, examples)

    def _take(self, logits, points, where, examples=slice(None)):
        y = self.problem.y[examples]
        true = np.take_along_axis(logits, y[None, :, None], -1)
        with np.errstate(invalid="ignore"):
            margins = true - logits
        # What isn't a number wins against nothing.
        margins = np.where(np.isnan(margins), -np.inf, margins)
        best = np.argmin(margins, 0)
        margins = np.take_along_axis(margins, best[None], 0)[0]
        smaller = margins < self.smallest[examples]
        picked = np.moveaxis(points, 1, 0)
        picked = np.stack([p[b] for p, b in zip(picked, best, strict=True)])
        self.smallest[examples] = np.where(
            smaller, margins, self.smallest[examples]
        )
        self.where[examples] = np.where(smaller, where, self.where[examples])
        old = self.points[examples]
        wide = smaller.reshape(*smaller.shape, *[1] * (old.ndim - 2))
        self.points[examples] = np.where(wide, picked, old)

    def _attack(self, moves, steps):
        """Follows gradients from a few points, for each rival of its own."""
        if not self.apart:
            return
        classes = self.network.spec.classes
        moves = np.repeat(moves[: min(STARTS, len(moves))], classes, 0)
        rival = np.tile(np.arange(classes), len(moves) // classes)
        rival = np.repeat(rival[:, None], len(self.problem.x), 1)
        for k in range(steps):
            points = self.problem.points(moves)
            found = self._gradient(points, rival)
            if found is None:
                return
            gradient, logits = found
            self._take(logits, points, "float64")
            move = -sets.steepest(self.problem, np.nan_to_num(gradient))
            moves = move if k == 0 else moves + move / 2**k
            moves = np.clip(moves, -1, 1)
        points = self.problem.points(moves)
        self._see(points, tf.float64, "float64")
        self._see(points, tf.float32, "float32")

    def _gradient(self, points, rival):
        flat = points.reshape(-1, *points.shape[2:])
        y = np.tile(self.problem.y, len(points))
        try:
            with tf.GradientTape() as tape:
                x = tf.constant(flat, tf.float64)
                tape.watch(x)
                logits = self.network(x)
                signs = tf.one_hot(y, logits.shape[-1], dtype=x.dtype)
                signs -= tf.one_hot(
                    rival.ravel(), logits.shape[-1], dtype=x.dtype
                )
                total = tf.reduce_sum(signs * logits)
            gradient = tape.gradient(total, x)
        except (tf.errors.OpError, ValueError, TypeError, LookupError):
            gradient = None
        if gradient is None:  # TensorFlow has none for it.
            return self._differences(points, rival)
        logits = np.asarray(logits).reshape(*points.shape[:2], -1)
        return np.asarray(gradient).reshape(points.shape), logits

    def _differences(self, points, rival):
        """The same from what small moves of each feature change."""
        size = points[0, 0].size
        step = 1e-3 * self.problem.radius.reshape(len(self.problem.x), size)
        near = points.reshape(*points.shape[:2], 1, size).astype(np.float64)
        near = near + step[:, None] * np.eye(size)[None]
        try:
            logits = self._run(points.reshape(-1, *points.shape[2:]))
            moved = self._run(near.reshape(-1, *points.shape[2:]))
        except (tf.errors.OpError, ValueError, TypeError):
            return None
        logits = logits.reshape(*points.shape[:2], 1, -1)
        moved = moved.reshape(*near.shape[:3], -1) - logits
        y = np.broadcast_to(self.problem.y, rival.shape)
        rise = np.take_along_axis(moved, y[..., None, None], -1)
        rise -= np.take_along_axis(moved, rival[..., None, None], -1)
        rise = rise[..., 0] / np.maximum(step, 1e-30)
        return rise.reshape(points.shape), logits[..., 0, :]

    def _reread(self):
        """Reads the worst points again, in the batch and alone."""
        points = np.moveaxis(self.points, 1, 0)
        points = np.concatenate([points, self.problem.x[None]])
        for worst in points:
            self._take(self._run(worst, tf.float32)[None], worst[None], "batch")
        for k in range(len(self.problem.x)):
            one = slice(k, k + 1)
            # The most dangerous rival alone.
            rivals = np.where(
                np.arange(self.smallest.shape[1]) == self.problem.y[k],
                np.inf,
                self.smallest[k],
            )
            for worst in (points[int(np.argmin(rivals))], self.problem.x):
                try:
                    logits = self._run(worst[one], tf.float32)
                except (tf.errors.OpError, ValueError, TypeError):
                    return  # It needs a batch of this size.
                if logits.shape == (1, self.smallest.shape[1]):
                    self._take(logits[None], worst[None, one], "alone", one)
