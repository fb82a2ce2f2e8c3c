"""Branch and bound."""

import numbers
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.attacks.pgd import PGD
from tfrobust.backend import register
from tfrobust.decision import (
    CERTIFIED,
    FALSIFIED,
    UNKNOWN,
    Decision,
    from_margins,
)
from tfrobust.specification import Specification
from tfrobust.threats import Threat
from tfrobust.types import Model, TensorLike
from tfrobust.verifier import Verifier
from tfrobust.verifiers.alpha_crown import AlphaCROWN
from tfrobust.verifiers.bounding import label_wins
from tfrobust.verifiers.clauses import by_example, served
from tfrobust.verifiers.reuse import Compiled
from tfrobust.verifiers.subproblems import Subproblems, compiled, errs
from tfrobust.verifiers.tree import Tree, grow

# How many are searched side by side where there are many.
EXAMPLES = 8


class Answer(NamedTuple):
    """What branch and bound found out about each example.

    Attributes:
        verdict: `"certified"`, `"falsified"` or `"unknown"`, shape `[batch]`.
        counterexample: A point of the threat that the network gets wrong
            where the verdict is falsified, and x elsewhere.
        margins: Lower bounds on `logit_y - logit_j`, `[batch, classes]`; of a
            `Specification` on the largest row of each clause, `[batch,
            clauses]`.
        visited: How many subdomains were bounded, `[batch]`.
    """

    verdict: np.ndarray
    counterexample: np.ndarray
    margins: np.ndarray
    visited: np.ndarray


@register
class BranchAndBound(Verifier):
    """Searches for a proof or a counterexample until there is one.

    Where an attack fails, margins are bounded as in `CROWN`, and those left
    open as in `AlphaCROWN`, then on two subdomains of the threat: those where
    the input of one more activation is positive or negative. ReLUs are linear
    there, S-shaped curves convex or concave, and maxima are made of ReLUs. A
    network of 8 features at most is split by its features first, others once
    all signs are decided, until nothing is left to split or time is up.

    Of a `Specification` each clause is bounded, rows joined by or together:
    for that no single one needs to be positive everywhere.

    Args:
        threat: The `Threat` to bound over.
        timeout: Seconds to search for each example, after the attack: its
            share of those that batches of subdomains take. With 0 there are
            no bounds, and no verdict but that of the attack.
        batch_size: Number of subdomains that are bounded at once.
        steps: Number of gradient steps for the bound of a subdomain.
        learning_rate: Length of the first step, in units of a slope that is
            between 0 and 1.
        restarts: Number of runs of the attack.
        candidates: Number of costly signs that are tried before one is decided,
            the one that brings a half of the subdomain nearest to a proof;
            one where features are first. More take longer for each.

    Call arguments:
        model: Any callable `model(x, training=False) -> logits`. It is traced
            at the first of several calls with the same one, also by copies
            that `replace` made, of a threat of other values: another epsilon,
            another box.
        x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`.
        y: Integer labels, shape `[batch]`, or a `Specification`.

    Raises:
        NotImplementedError: If an op of the network has no rule.
        RuntimeError: If called inside a `tf.function`.
        ValueError: If an argument isn't as expected.

    Example:
        `tfr.verifiers.BranchAndBound(threat, timeout=10.0).decide(model, x, y)`

    Reference: Wang et al., 2021, arXiv 2103.06624, section 3.3; Bunel et al.,
    2020, arXiv 1909.06588, section 4.
    """

    def __init__(
        self,
        threat: Threat,
        timeout: float = 60.0,
        batch_size: int = 64,
        steps: int = 10,
        learning_rate: float = 0.25,
        restarts: int = 5,
        candidates: int = 6,
    ) -> None:
        checks.kind(threat, Threat, "threat", "tfr.threats.Linf(0.1)")
        fine = isinstance(timeout, numbers.Real) and timeout >= 0
        expected = "be how many seconds, 0 or more, also infinite"
        checks.argument(fine, "timeout", expected, timeout)
        checks.count(batch_size, "batch_size")
        checks.count(steps, "steps")
        checks.positive(learning_rate, "learning_rate")
        checks.count(restarts, "restarts")
        checks.count(candidates, "candidates")
        self.threat, self.timeout, self.batch_size = threat, timeout, batch_size
        self.steps, self.learning_rate = steps, learning_rate
        self.restarts, self.candidates = restarts, candidates
        self._compiled = Compiled()

    def replace(self, **attributes: Any) -> "BranchAndBound":
        # What is compiled serves a threat of other values, too.
        changed = super().replace(**attributes)
        return changed._replace(_compiled=self._compiled)

    def margins(
        self, model: Model, x: TensorLike, y: TensorLike | Specification
    ) -> tf.Tensor:
        if isinstance(y, Specification):
            # Margins are of rows: each is asked for by itself.
            y = Specification(y.rows, y.offsets)
        return tf.constant(self.answer(model, x, y).margins)

    def decide(
        self, model: Model, x: TensorLike, y: TensorLike | Specification
    ) -> Decision:
        answer = self.answer(model, x, y)
        margin = tf.reduce_min(answer.margins, axis=1)
        if not isinstance(y, Specification):
            margin = from_margins(answer.margins, y).margin
        proven, wrong = (answer.verdict == v for v in (CERTIFIED, FALSIFIED))
        return Decision(proven, wrong, margin, answer.counterexample)

    def cost(self, model: Model, shape: Sequence[int]) -> int | None:
        # A part of a threat is bounded as this bounds an example.
        ascent = self.steps, self.learning_rate
        bounds = AlphaCROWN(self.threat, *ascent, intermediate=False)
        return bounds.cost(model, shape)

    def within(self, size: int) -> tuple["BranchAndBound", int]:
        # The subdomains of a few examples fill its batches.
        batch_size = min(size, self.batch_size)
        return self.replace(batch_size=batch_size), min(size, EXAMPLES)

    def answer(self, model: Model, x: TensorLike, y: Any) -> Answer:
        """Decides for each example whether a point of its threat is wrong."""
        if not tf.executing_eagerly():
            raise RuntimeError(
                "Branch and bound searches in Python, so it can't be part of a "
                "graph. Call it outside of every tf.function."
            )
        low, high = self.threat.low, self.threat.high
        x = tf.clip_by_value(self.threat.checked(x), low, high)
        if isinstance(y, Specification):
            return self._specified(model, x, y)
        return self.answer_labels(model, x, y)

    def _specified(self, model, x, specification):
        """Answers for the network that says whether a specification holds."""
        outputs = model(x, training=False)
        specification.matched(tf.convert_to_tensor(outputs))
        clauses = served(self._compiled.clauses, model, specification)
        self._compiled.clauses = clauses
        found = by_example(self, clauses, specification, x)
        whole = Answer(*map(np.concatenate, zip(*found, strict=True)))
        return whole._replace(margins=whole.margins[:, clauses.order])

    def answer_labels(self, model, x, y):
        """The `Answer` for labels, of inputs that are checked."""
        logits = tf.cast(model(x, training=False), tf.float32)
        y = checks.labels(y, logits)
        attack, subproblems = self._functions(model, x.shape[1:])
        # Points that are wrong already need no attack.
        points = np.array(attack(x, y))
        clean = self._wrong(model, x, y, x)
        points[clean] = x.numpy()[clean]
        wrong = self._wrong(model, x, y, points)
        margins = label_wins(y, logits).dot(logits).numpy()
        visited = np.zeros(len(x), np.int64)
        if self.timeout == 0:
            margins[:] = -np.inf
        else:
            parts = [part.numpy() for part in (x, *subproblems.prepare(x, y))]
            examples = zip(*parts, strict=True)
            trees = [*map(Tree, examples, y.numpy(), points, wrong)]
            self._search(subproblems, trees)
            for k, tree in enumerate(trees):
                margins[k] = np.minimum(margins[k], tree.margins())
                visited[k] = tree.visited
                if tree.point is not None:
                    points[k] = tree.point
        margins = np.where(np.isnan(margins), -np.inf, margins)
        margins[np.arange(len(x)), y] = 0.0
        wrong = self._wrong(model, x, y, points)
        return _answer(x.numpy(), y.numpy(), points, wrong, margins, visited)

    def _search(self, subproblems, trees):
        """Grows all trees that are open, side by side where batches allow."""
        while trees := [tree for tree in trees if tree.open(self.timeout)]:
            grow(subproblems, trees, self.batch_size)

    def _functions(self, model, shape):
        """The compiled attack and bounds."""
        ascent = self.steps, self.learning_rate, self.candidates

        def make(threat):
            attack = PGD(
                threat, steps=20, restarts=self.restarts, loss="margin"
            )
            perturb = compiled(
                lambda x, y: attack.perturb(model, x, y),
                [None, *shape],
                tf.TensorSpec([None], tf.int32),
            )
            return perturb, Subproblems(model, threat, shape, *ascent)

        return self._compiled.of(
            make, model, self.threat, shape, *ascent, self.restarts
        )

    def _wrong(self, model, x, y, points):
        """Which points are in the threat, and the network gets them wrong."""
        logits = model(tf.convert_to_tensor(points), training=False)
        wrong = errs(logits, y)
        return (wrong & self.threat.contains(x, points)).numpy()


def _answer(x, y, points, wrong, margins, visited):
    rivals = np.arange(margins.shape[1]) != y[:, np.newaxis]
    certified = np.all((margins > 0) | ~rivals, axis=1) & ~wrong
    verdict = np.where(certified, CERTIFIED, UNKNOWN)
    verdict = np.where(wrong, FALSIFIED, verdict)
    points[~wrong] = x[~wrong]
    return Answer(verdict, points, margins, visited)
