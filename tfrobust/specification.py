"""What is to be proven of a network's outputs."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.types import TensorLike

# More clauses than any memory should be asked for.
_MOST = 10_000
# The smallest float32 of full precision.
_LEAST = float(np.finfo(np.float32).tiny)


class Specification:
    """Linear inequalities of the outputs z, joined by and, and by or.

    It holds where in every clause some row is positive:
    `rows[r] @ z + offsets[r] > 0`. Pass it to a verifier in place of labels:
    `margins` then gives a lower bound for each row, and `decide` certifies
    examples for which every clause has a positive one. `a & b` holds where both
    do, `a | b` where one does.

    Args:
        rows: Shape `[rows, outputs]`, or `[batch, rows, outputs]` for rows of
            each example.
        offsets: Shape `[rows]` or `[batch, rows]`; None for 0.
        clauses: For each clause the numbers of its rows, of which one must be
            positive; None for all rows.

    Raises:
        ValueError: If shapes don't fit, numbers aren't finite, or a clause is
            empty or names a row that isn't there.

    Example:
        ```
        # Never the classes 3 and 5, of ten.
        safe = Specification.never(3, 10) & Specification.never(5, 10)
        decision = tfr.verifiers.CROWN(linf).decide(model, x, safe)
        ```
    """

    def __init__(
        self,
        rows: TensorLike,
        offsets: TensorLike | None = None,
        clauses: Sequence[Sequence[int]] | None = None,
    ):
        self.rows = np.asarray(rows, np.float32)
        shape = self.rows.shape
        fits = len(shape) in (2, 3) and 0 not in shape
        expected = "have the shape [rows, outputs], or [batch, rows, outputs]"
        checks.argument(fits, "rows", expected, shape)
        given = np.zeros(shape[-2:-1]) if offsets is None else offsets
        self.offsets = np.asarray(given, np.float32)
        if self.offsets.ndim == 2 and len(shape) == 2:
            self.rows = np.broadcast_to(self.rows, (len(self.offsets), *shape))
        fits = self.offsets.shape in (self.rows.shape[:-1], shape[-2:-1])
        expected = f"have a number for each of {shape[-2]} rows"
        checks.argument(fits, "offsets", expected, self.offsets.shape)
        for name, value in {"rows": self.rows, "offsets": self.offsets}.items():
            size = abs(value)
            # TensorFlow computes as if numbers below that were 0.
            fine = (size == 0) | ((size >= _LEAST) & (size < math.inf))
            expected = f"be finite, and 0 or at least {_LEAST:.2g} in size"
            checks.argument(bool(np.all(fine)), name, expected, value)
        if clauses is None:
            clauses = [[row] for row in range(shape[-2])]
        self.clauses = [list(clause) for clause in clauses]
        fits = bool(self.clauses) and all(
            clause and all(row in range(shape[-2]) for row in clause)
            for clause in self.clauses
        )
        expected = f"name, in each clause, some of rows 0 to {shape[-2] - 1}"
        checks.argument(fits, "clauses", expected, clauses)
        self.clauses = [[int(row) for row in clause] for clause in self.clauses]
        expected = f"be at most {_MOST}, each of which costs memory"
        few = len(self.clauses) <= _MOST
        checks.argument(few, "clauses", expected, len(self.clauses))

    @classmethod
    def label(cls, y: TensorLike, outputs: int) -> "Specification":
        """The label has the largest logit: a row for each other class.

        Args:
            y: Labels, shape `[batch]`.
            outputs: Number of logits.
        """
        return cls(_over_others(y, outputs))

    @classmethod
    def top(cls, y: TensorLike, outputs: int, k: int) -> "Specification":
        """The label is among the k largest logits.

        Of any k other classes one has a smaller logit.

        Args:
            y: Labels, shape `[batch]`.
            outputs: Number of logits.
            k: How many, below `outputs`.
        """
        checks.count(k, "k")
        checks.argument(k < outputs, "k", f"be below {outputs}", k)
        many = math.comb(outputs - 1, k)
        expected = f"leave at most {_MOST} choices of other classes, not {many}"
        checks.argument(many <= _MOST, "k", expected, k)
        clauses = itertools.combinations(range(outputs - 1), k)
        return cls(_over_others(y, outputs), clauses=list(clauses))

    @classmethod
    def never(cls, output: int, outputs: int) -> "Specification":
        """A class never has the largest logit: some other one is larger.

        Args:
            output: The class.
            outputs: Number of logits.
        """
        rows = -_over_others([output], outputs)[0]
        return cls(rows, clauses=[range(outputs - 1)])

    @classmethod
    def between(cls, low: TensorLike, high: TensorLike) -> "Specification":
        """Every output lies in a range.

        Args:
            low: Lower ends, shape `[outputs]` or `[batch, outputs]`; minus
                infinity for none.
            high: Upper ends, likewise.
        """
        ends = np.broadcast_arrays(*(np.asarray(e, float) for e in (low, high)))
        low, high = (np.atleast_1d(end) for end in ends)
        fits = bool(np.all(low < high))
        checks.argument(fits, "low", "be below high", (low, high))
        finite = [np.isfinite(e).reshape(-1, e.shape[-1]) for e in (low, high)]
        alike = all(bool(np.all(of == of[0])) for of in finite)
        expected = "be infinite for all examples or none, as must high"
        checks.argument(alike, "low", expected, low)
        below, above = (of[0] for of in finite)
        eye = np.eye(low.shape[-1])
        rows = np.concatenate([eye[below], -eye[above]])
        offsets = np.concatenate([-low[..., below], high[..., above]], axis=-1)
        return cls(rows, offsets)

    @classmethod
    def labels(cls, y: TensorLike, threshold: float = 0.0) -> "Specification":
        """Of several labels each is told right: above the threshold if it is 1.

        Args:
            y: 0 or 1 for each label, shape `[batch, outputs]`.
            threshold: What logits are compared with.
        """
        y = np.asarray(y)
        fits = y.ndim == 2 and bool(np.all((y == 0) | (y == 1)))
        checks.argument(fits, "y", "hold 0 and 1, [batch, outputs]", y)
        checks.number(threshold, "threshold")
        signs = 2.0 * y - 1
        rows = signs[..., np.newaxis] * np.eye(y.shape[1])
        return cls(rows, -threshold * signs)

    def __and__(self, other: "Specification") -> "Specification":
        rows, offsets, first = self._beside(other)
        moved = [[first + row for row in clause] for clause in other.clauses]
        return Specification(rows, offsets, [*self.clauses, *moved])

    def __or__(self, other: "Specification") -> "Specification":
        rows, offsets, first = self._beside(other)
        pairs = itertools.product(self.clauses, other.clauses)
        joined = [[*a, *(first + row for row in b)] for a, b in pairs]
        return Specification(rows, offsets, joined)

    def __call__(self, outputs: TensorLike) -> tf.Tensor:
        """By how much it holds at outputs, `[batch]`; below 0 if it doesn't."""
        outputs = tf.cast(outputs, tf.float32)
        values = tf.einsum("bro,bo->br", self.matched(outputs), outputs)
        return self.margin(values + self.offsets)

    def margin(self, values: TensorLike) -> tf.Tensor:
        """What its rows, or lower bounds of them, say of the whole, `[batch]`.

        Args:
            values: Shape `[batch, rows]`.
        """
        values = tf.cast(values, tf.float32)
        # A bound of NaN or infinity is a defect, and says nothing.
        values = tf.where(values < math.inf, values, -math.inf)
        best = [
            tf.reduce_max(tf.gather(values, clause, axis=1), axis=1)
            for clause in self.clauses
        ]
        return tf.reduce_min(tf.stack(best), axis=0)

    def matched(self, outputs: tf.Tensor) -> tf.Tensor:
        """The rows for a batch of outputs, `[batch, rows, outputs]`.

        Raises:
            ValueError: If the outputs aren't `[batch, outputs]`, or as many.
        """
        expected = self.rows.shape[-1]
        if outputs.shape.rank != 2 or outputs.shape[-1] != expected:
            raise ValueError(
                f"The specification is about {expected} outputs, so the model "
                f"must give the shape [batch, {expected}]. Received: "
                f"{tuple(outputs.shape)}"
            )
        batch = tf.shape(outputs)[0]
        if self.rows.ndim == 3:
            tf.debugging.assert_equal(
                batch,
                len(self.rows),
                message=f"The specification has rows for {len(self.rows)} "
                "examples; pass as many, or rows of shape [rows, outputs].",
            )
            return tf.constant(self.rows)
        return tf.repeat(self.rows[np.newaxis], batch, axis=0)

    def _beside(self, other: Any) -> tuple[np.ndarray, np.ndarray, int]:
        """Rows and offsets of both, and the number of the other's first."""
        checks.kind(other, Specification, "other", "Specification.never(3, 10)")
        one, two = self.rows, other.rows
        fits = one.shape[-1] == two.shape[-1]
        expected = f"be about {one.shape[-1]} outputs"
        checks.argument(fits, "other", expected, two.shape[-1])
        size = {len(rows) for rows in (one, two) if rows.ndim == 3}
        expected = "be about as many examples"
        checks.argument(len(size) < 2, "other", expected, two.shape)
        rows = [np.broadcast_to(r, (*size, *r.shape[-2:])) for r in (one, two)]
        offsets = [
            np.broadcast_to(o, (*size, o.shape[-1]))
            for o in (self.offsets, other.offsets)
        ]
        joined = np.concatenate(rows, axis=-2)
        return joined, np.concatenate(offsets, axis=-1), one.shape[-2]


def _over_others(y, outputs):
    """Rows of the label's logit less each other one's, in their order."""
    y = np.reshape(np.asarray(y), [-1])
    fits = y.dtype.kind in "iu" and bool(np.all((y >= 0) & (y < outputs)))
    expected = f"hold one label or more, from 0 to {outputs - 1}"
    checks.argument(fits and y.size > 0, "y", expected, y)
    eye = np.eye(outputs)
    others = [np.delete(np.arange(outputs), label) for label in y]
    return eye[y][:, np.newaxis] - eye[np.array(others)]
