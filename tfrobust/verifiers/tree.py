"""The trees of subdomains that branch and bound grows."""

import heapq
import itertools
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from tfrobust.verifiers.subproblems import FEW_FEATURES, Subproblems


class Tree:
    """The subdomains of one example's threat that are still open.

    Args:
        example: x and what `Subproblems.prepare` returned for it.
        y: Its label.
        point: A point of the threat.
        wrong: Whether the network gets that one wrong.

    Attributes:
        queue: Open subdomains, a heap by the bound of what they were cut from,
            what wasn't cut first.
        begins: The classes whose margin is open, and was bounded by CROWN only.
        visited: How many subdomains were bounded.
        point: A point that the network gets wrong, None until there is one.
        seconds: Its share of the time in which subdomains were bounded.
    """

    def __init__(
        self, example: Any, y: int, point: np.ndarray, wrong: bool
    ) -> None:
        self._x, self._ends, self._room, box, undecided, margins = example
        classes = len(margins)
        eye = np.eye(classes, dtype=np.float32)
        self._specification = eye[y] - eye
        self._order, self.visited, self.seconds = itertools.count(), 0, 0.0
        self.queue: list = []
        self.point = point if wrong else None
        # The smallest bound of what is closed, by class.
        self._closed = np.full(classes, np.inf, np.float32)
        state = np.zeros(0, np.float32)
        rivals = set(range(classes)) - {y}
        self.begins = {rival for rival in rivals if not margins[rival] > 0}
        for rival in rivals - self.begins:
            self._closed[rival] = margins[rival]
        for rival in self.begins:
            # Before all halves: else one margin may use up the time of all.
            self._push(-np.inf, margins[rival], rival, undecided, box, state)

    def open(self, timeout: float) -> bool:
        """Whether to go on: for the margins, or while there is no answer."""
        asked = bool(self.begins) or self.point is None
        late = self.visited and self.seconds >= timeout
        return bool(self.queue) and not late and (asked or not self.visited)

    def take(self, most: int) -> list:
        """Takes out those of smallest bound, at most so many."""
        count = min(most, len(self.queue))
        return [heapq.heappop(self.queue) for _ in range(count)]

    def rows(self, taken: list) -> tuple:
        """What `Subproblems.bound` asks of subdomains, one array for each."""
        _, _, _, rivals, signs, boxes, states = zip(*taken, strict=True)
        x, ends, room = (
            np.repeat(own[np.newaxis], len(taken), axis=0)
            for own in (self._x, self._ends, self._room)
        )
        form = self._specification[list(rivals)]
        return x, form, ends, room, *map(np.stack, (boxes, signs)), states

    def give(self, taken: list, answers: tuple) -> None:
        """Closes what is proven, and splits what stays open."""
        bounds, sign, feature, points, wrong, states = answers
        _, _, before, rivals, signs, boxes, _ = zip(*taken, strict=True)
        self.visited += len(taken)
        self.begins -= set(rivals)
        if self.point is None and np.any(wrong):
            self.point = points[np.argmax(wrong)]
        for k, bound in enumerate(np.maximum(bounds, before)):
            halves = []
            if not bound > 0:
                halves = _halves(signs[k], boxes[k], sign[k], feature[k])
            for decided, half in halves:
                self._push(bound, bound, rivals[k], decided, half, states[k])
            if not halves:
                least = min(self._closed[rivals[k]], bound)
                self._closed[rivals[k]] = least

    def margins(self) -> np.ndarray:
        """A lower bound on the margin to each class."""
        margins = self._closed.copy()
        for _, _, bound, rival, *_ in self.queue:
            margins[rival] = min(margins[rival], bound)
        return margins

    def _push(self, rank, *subdomain):
        heapq.heappush(self.queue, (rank, next(self._order), *subdomain))


def grow(
    subproblems: Subproblems, trees: Iterable[Tree], batch_size: int
) -> None:
    """Bounds as many subdomains, of the first trees that have them.

    Args:
        subproblems: The `Subproblems`.
        trees: Trees that are open, at least one.
        batch_size: How many subdomains are bounded at once.
    """
    begin, room, some = time.monotonic(), batch_size, []
    for tree in trees:
        if not room:
            break
        some.append((tree, tree.take(room)))
        room -= len(some[-1][1])
    columns = zip(*(tree.rows(taken) for tree, taken in some), strict=True)
    *given, states = columns
    x, form, ends, spare, boxes, signs = map(np.concatenate, given)
    if subproblems.refine is not None:
        ends = subproblems.refine(ends, boxes)
    state = np.stack(_padded([*itertools.chain(*states)]))
    answers = subproblems.bound(x, form, ends, spare, boxes, signs, state)
    answers = [answer.numpy() for answer in answers]
    seconds, first = (time.monotonic() - begin) / len(x), 0
    for tree, taken in some:
        own = slice(first, first + len(taken))
        tree.give(taken, tuple(answer[own] for answer in answers))
        tree.seconds += seconds * len(taken)
        first = own.stop


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
