"""The tree of subdomains that branch and bound grows."""

import heapq
import itertools
from typing import Any

import numpy as np

from tfrobust.verifiers.subproblems import FEW_FEATURES, Subproblems


class Tree:
    """The subdomains of one example's threat that are still open.

    Args:
        subproblems: The `Subproblems`.
        example: x and what `prepare` returned for it.
        y: Its label.
        classes: Number of classes.

    Attributes:
        queue: Open subdomains, a heap by the bound of what they were cut from.
        begins: The classes whose margin is open, and was bounded by CROWN only.
        visited: How many subdomains were bounded.
        point: A point that the network gets wrong, None until there is one.
    """

    def __init__(
        self, subproblems: Subproblems, example: Any, y: int, classes: int
    ) -> None:
        self.subproblems = subproblems
        self.x, self.ends, self.room, box, undecided, margins = example
        eye = np.eye(classes, dtype=np.float32)
        self.specification = eye[y] - eye
        self.order, self.visited = itertools.count(), 0
        self.queue: list = []
        # The smallest bound of what is closed, by class.
        self.closed, self.point = np.full(classes, np.inf, np.float32), None
        state = np.zeros(0, np.float32)
        rivals = set(range(classes)) - {y}
        self.begins = {rival for rival in rivals if not margins[rival] > 0}
        for rival in rivals - self.begins:
            self.closed[rival] = margins[rival]
        for rival in self.begins:
            self._push(margins[rival], rival, undecided, box, state)

    def grow(self, batch_size: int) -> None:
        """Bounds those of smallest bound, and splits what stays open."""
        if not self.queue:
            return
        count = min(batch_size, len(self.queue))
        taken = [heapq.heappop(self.queue) for _ in range(count)]
        before, _, rivals, signs, boxes, states = zip(*taken, strict=True)
        x, ends, room = (
            np.repeat(own[np.newaxis], count, axis=0)
            for own in (self.x, self.ends, self.room)
        )
        given = [np.stack(own) for own in (boxes, signs, _padded(states))]
        if self.subproblems.refine is not None:
            ends = self.subproblems.refine(ends, given[0])
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
    first = box[0].size <= FEW_FEATURES
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
