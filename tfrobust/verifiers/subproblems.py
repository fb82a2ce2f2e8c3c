"""Compiled bounds of a margin on subdomains of a threat."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfrobust.bounds.bounds import Bounds
from tfrobust.bounds.dense import Dense
from tfrobust.bounds.rounding import widened
from tfrobust.graph import Hinged, Trace
from tfrobust.threats import Linf, Threat
from tfrobust.threats.rows import flat
from tfrobust.types import Model
from tfrobust.verifiers import branching
from tfrobust.verifiers.bounding import label_wins
from tfrobust.verifiers.optimization import maximize
from tfrobust.verifiers.subdomains import (
    Subdomains,
    nodes_read,
    signed_nodes,
)

# With at most so many features the input is split first, with more last.
FEW_FEATURES = 8


class Subproblems:
    """Compiled bounds of margins where the signs of some values are decided.

    A subproblem is one margin on those points of a threat that lie in a box
    and at which the inputs of some activations have a given sign.
    The lines that bound it, alpha, and the multipliers of the constraints on
    the signs, beta, are chosen by gradient ascent: see `Subdomains`.

    Args:
        model: Any callable `model(x, training=False) -> logits`.
        threat: The `Threat`.
        shape: Shape of one input.
        steps: Number of gradient steps.
        learning_rate: Length of the first step.
        candidates: How many signs are tried before one is decided.

    Attributes:
        refine: Compiled bounds, on boxes, of all that activations read; None
            where the input is split last.
    """

    def __init__(
        self,
        model: Model,
        threat: Threat,
        shape: Sequence[int],
        steps: int,
        learning_rate: float,
        candidates: int,
    ) -> None:
        self._model, self._hinged = model, Hinged(model)
        self._threat = threat
        self._steps, self._learning_rate = steps, learning_rate
        few = math.prod(shape) <= FEW_FEATURES
        # Where features are halved first, a sign is hardly ever decided.
        self._candidates = 1 if few else candidates
        some, values = [None, None], [None, 2, None]
        x, box, room = [None, *shape], [None, 2, *shape], [None, 3, *shape]
        self.prepare = compiled(
            self._prepare, x, tf.TensorSpec([None], tf.int32)
        )
        self.bound = compiled(
            self._bound, x, some, values, room, box, some, some
        )
        self.refine = compiled(self._refined, values, box) if few else None

    def _prepare(self, x, y):
        """What the subproblems of an example share.

        Args:
            x: Inputs, shape `[batch, ...]`.
            y: Labels, shape `[batch]`.

        Returns:
            Bounds of all that activations read, `[batch, 2, values]`; how far
            features may move, `[batch, 3, ...]`, see `Threat.room`; the box
            around the threat, `[batch, 2, ...]`; signs of which none is
            decided, zeros of shape `[batch, signs]`; and lower bounds of all
            margins, `[batch, classes]`, by CROWN.
        """
        trace = Trace(self._hinged, x)
        bounds = whole = Bounds(trace, self._threat, x)
        if not self._hinged.same:
            # Where maxima are one op, they may be bounded better.
            whole = Bounds(Trace(self._model, x), self._threat, x)
        margins = whole.tightest(label_wins(y, trace.value))
        # Epsilon was rounded, and so is what is added to x.
        room, box = self._threat.room(x), widened(self._threat.box(x))
        count = sum(node.size for node in signed_nodes(trace))
        signs = tf.zeros([tf.shape(x)[0], count])
        pairs = (tf.stack(pair, axis=1) for pair in (room, box))
        return self._ends(bounds), *pairs, signs, margins

    def _ends(self, bounds):
        """Bounds of all that activations read, `[batch, 2, values]`."""
        x = bounds.x
        read = [bounds.intervals[node] for node in nodes_read(bounds.trace)]
        none = tf.zeros([tf.shape(x)[0], 0])
        lower, upper = (
            tf.concat([none, *(flat(pair[k]) for pair in read)], axis=1)
            for k in (0, 1)
        )
        return tf.stack([lower, upper], axis=1)

    def _refined(self, ends, box):
        """Bounds on boxes, no wider than those that are known."""
        lower, upper = tf.unstack(box, axis=1)
        centre = (lower + upper) / 2
        radius = tf.maximum(upper - centre, centre - lower)
        # What rounding may have taken off.
        radius += 2.0**-22 * (tf.abs(centre) + radius)
        around = Linf(radius, -math.inf, math.inf)
        found = self._ends(Bounds(Trace(self._hinged, centre), around, centre))
        known, found = tf.unstack(ends, axis=1), tf.unstack(found, axis=1)
        # What isn't a number is no bound.
        lower = tf.where(found[0] > known[0], found[0], known[0])
        upper = tf.where(found[1] < known[1], found[1], known[1])
        return tf.stack([lower, upper], axis=1)

    def _bound(self, x, specification, ends, room, box, signs, state):
        """Bounds subproblems.

        Args:
            x: Inputs, shape `[batch, ...]`.
            specification: The margin as a form of the logits, `[batch,
                classes]`.
            ends: What `prepare` returned for these x.
            room: What `prepare` returned for these x.
            box: Lower and upper corner of the box, `[batch, 2, ...]`.
            signs: 1 or -1 where decided, otherwise 0, shape `[batch, signs]`.
            state: Where to begin: what was returned for a wider subproblem;
                without columns, the default lines.

        Returns:
            Lower bounds, `[batch]`, infinite where there is no such point; the
            sign to decide next and the feature to halve next, `[batch]`, -1 if
            there is none; a point of the threat whose margin may be small, and
            whether the network errs there; and the state.
        """
        trace = Trace(self._hinged, x)
        form = tf.ensure_shape(specification, [None, trace.value.shape[-1]])
        domains = Subdomains(
            trace, self._threat, x, Dense(form[:, tf.newaxis]), room
        )
        domains.narrow(tf.unstack(box, axis=1), ends, signs)
        values = domains.start(state)
        if values:
            values = maximize(
                lambda values: domains.lower(values)[0],
                values,
                domains.limits(),
                self._steps,
                self._learning_rate,
                enough=0.0,
            )
        lower, forms = domains.lower(values)
        point = domains.minimizer(forms)
        label = tf.argmax(form, axis=1, output_type=tf.int32)
        wrong = errs(self._model(point, training=False), label)
        given = x, form, ends, room, box, signs
        return (
            lower[:, 0],
            self._next_sign(domains, values, given),
            branching.next_feature(domains, forms),
            point,
            wrong,
            tf.concat([tf.zeros_like(lower[:, :0]), *map(flat, values)], 1),
        )

    def _next_sign(self, domains, values, given):
        """Of a few signs that cost much, the one whose halves are best."""
        count = self._candidates
        candidates = branching.undecided(domains, count)
        if count == 1 or not domains.signed:
            return candidates[:, 0]
        *shared, signs = given
        x, form, ends, room, box = (
            tf.repeat(value, 2 * count, axis=0) for value in shared
        )
        halves = Subdomains(
            Trace(self._hinged, x),
            self._threat,
            x,
            Dense(form[:, tf.newaxis]),
            room,
        )
        decided = branching.halves(signs, candidates)
        halves.narrow(tf.unstack(box, axis=1), ends, decided)
        kept = [tf.repeat(value, 2 * count, axis=0) for value in values]
        return branching.best(candidates, halves.lower(kept)[0])


def errs(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Which labels aren't the largest logit; what isn't finite errs."""
    predicted = tf.argmax(logits, axis=1, output_type=tf.int32)
    return (predicted != y) | ~tf.reduce_all(tf.math.is_finite(logits), axis=1)


def compiled(function: Callable, *specs: Any) -> Any:
    """A `tf.function` of tensors, given by shape or by `tf.TensorSpec`."""
    signature = [
        spec if isinstance(spec, tf.TensorSpec) else tf.TensorSpec(spec)
        for spec in specs
    ]
    made = tf.function(function, input_signature=signature, autograph=False)
    made.get_concrete_function()  # Traced now, not once a clock is running.
    return made
