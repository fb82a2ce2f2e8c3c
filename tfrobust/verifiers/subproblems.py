"""Compiled bounds of a margin on subdomains of a threat, and their tree."""

import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust.bounds.bounds import Bounds
from tfrobust.bounds.dense import Dense
from tfrobust.graph import Trace
from tfrobust.threats import Threat
from tfrobust.threats.rows import flat
from tfrobust.types import Model
from tfrobust.verifiers.optimization import maximize
from tfrobust.verifiers.subdomains import (
    Subdomains,
    nodes_read,
    signed_nodes,
)

# With at most so many features the input is split first, with more last.
_FEW_FEATURES = 8


class Subproblems:
    """Compiled bounds of margins where the signs of some values are decided.

    A subproblem is one margin on those points of a threat that lie in a box
    and at which the inputs of some ReLUs (or LeakyReLUs) have a given sign.
    The lines that bound it, alpha, and the multipliers of the constraints on
    the signs, beta, are chosen by gradient ascent: see `Subdomains`.

    Args:
        model: Any callable `model(x, training=False) -> logits`.
        threat: The `Threat`.
        shape: Shape of one input.
        steps: Number of gradient steps.
        learning_rate: Length of the first step.
    """

    def __init__(
        self,
        model: Model,
        threat: Threat,
        shape: Sequence[int],
        steps: int,
        learning_rate: float,
    ) -> None:
        self._model, self._threat = model, threat
        self._steps, self._learning_rate = steps, learning_rate
        some, values = [None, None], [None, 2, None]
        x, box, room = [None, *shape], [None, 2, *shape], [None, 3, *shape]
        self.prepare = compiled(self._prepare, x)
        self.bound = compiled(
            self._bound, x, some, values, room, box, some, some
        )

    def _prepare(self, x):
        """What the subproblems of an example share.

        Returns:
            Bounds of all that activations read, `[batch, 2, values]`; how far
            features may move, `[batch, 3, ...]`, see `Threat.room`; the box
            around the threat, `[batch, 2, ...]`; and signs of which none is
            decided, zeros of shape `[batch, signs]`.
        """
        trace = Trace(self._model, x)
        bounds = Bounds(trace, self._threat, x)
        read = [bounds.intervals[node] for node in nodes_read(trace)]
        none = tf.zeros([tf.shape(x)[0], 0])
        lower, upper = (
            tf.concat([none, *(flat(pair[k]) for pair in read)], axis=1)
            for k in (0, 1)
        )
        room, box = self._threat.room(x), self._threat.box(x)
        count = sum(node.size for node in signed_nodes(trace))
        signs = tf.zeros([tf.shape(x)[0], count])
        pairs = (tf.stack(p, axis=1) for p in ((lower, upper), room, box))
        return *pairs, signs

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
        trace = Trace(self._model, x)
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
        return (
            lower[:, 0],
            domains.next_sign(),
            domains.next_feature(forms),
            point,
            wrong,
            tf.concat([tf.zeros_like(lower[:, :0]), *map(flat, values)], 1),
        )


class Tree:
    """The subdomains of one example's threat that are still open.

    Args:
        subproblems: The `Subproblems`.
        example: x and what `prepare` returned for it.
        y: Its label.
        classes: Number of classes.

    Attributes:
        queue: Open subdomains, a heap by the bound of what they were cut from.
        begins: The classes whose margin was never bounded.
        visited: How many subdomains were bounded.
        point: A point that the network gets wrong, None until there is one.
    """

    def __init__(
        self, subproblems: Subproblems, example: Any, y: int, classes: int
    ) -> None:
        self.subproblems = subproblems
        self.x, self.ends, self.room, box, undecided = example
        eye = np.eye(classes, dtype=np.float32)
        self.specification = eye[y] - eye
        self.order, self.visited = itertools.count(), 0
        self.queue: list = []
        # The smallest bound of what is closed, by class.
        self.closed, self.point = np.full(classes, np.inf, np.float32), None
        state = np.zeros(0, np.float32)
        self.begins = set(range(classes)) - {y}
        for rival in self.begins:
            self._push(-np.inf, rival, undecided, box, state)

    def grow(self, batch_size: int) -> None:
        """Bounds those of smallest bound, and splits what stays open."""
        count = min(batch_size, len(self.queue))
        taken = [heapq.heappop(self.queue) for _ in range(count)]
        before, _, rivals, signs, boxes, states = zip(*taken, strict=True)
        x, ends, room = (
            np.repeat(own[np.newaxis], count, axis=0)
            for own in (self.x, self.ends, self.room)
        )
        given = (np.stack(own) for own in (boxes, signs, _padded(states)))
        answers = self.subproblems.bound(
            x, self.specification[list(rivals)], ends, room, *given
        )
        bounds, sign, feature, points, wrong, states = (
            answer.numpy() for answer in answers
        )
        self.visited += count
        self.begins -= set(rivals)
        if np.any(wrong):
            self.point = points[np.argmax(wrong)]
        for k, bound in enumerate(np.maximum(bounds, before)):
            halves = []
            if not bound > 0:
                halves = _halves(signs[k], boxes[k], sign[k], feature[k])
            for decided, half in halves:
                self._push(bound, rivals[k], decided, half, states[k])
            if not halves:
                self.closed[rivals[k]] = min(self.closed[rivals[k]], bound)

    def margins(self) -> np.ndarray:
        """A lower bound on the margin to each class."""
        margins = self.closed.copy()
        for bound, _, rival, *_ in self.queue:
            margins[rival] = min(margins[rival], bound)
        return margins

    def _push(self, bound, rival, signs, box, state):
        entry = bound, next(self.order), rival, signs, box, state
        heapq.heappush(self.queue, entry)


def _padded(states):
    """States in one array; a subdomain that was never bounded has none."""
    longest = max(map(len, states))
    return [
        np.pad(state, (0, longest - len(state)), constant_values=-1.0)
        for state in states
    ]


def _halves(signs, box, sign, feature):
    """Both halves of a subdomain, signs and box; none if it can't be split."""
    first = box[0].size <= _FEW_FEATURES
    by_feature = feature >= 0 and (first or sign < 0)
    halves = []
    for side in (0, 1):
        if by_feature:
            half = box.copy()
            half[side].flat[feature] = np.mean(box.reshape(2, -1)[:, feature])
            halves.append((signs, half))
        elif sign >= 0:
            decided = signs.copy()
            decided[sign] = 1 - 2 * side
            halves.append((decided, box))
    return halves


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
