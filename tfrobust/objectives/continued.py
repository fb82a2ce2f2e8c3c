"""Perturbations that go on where the last epoch left them."""

import abc
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import checks, losses, streams
from tfrobust.instances.augmentation import Augmentation, Identity
from tfrobust.instances.memory import Memory
from tfrobust.instances.slot import Slot
from tfrobust.objectives.objective import Objective, Outcome
from tfrobust.threats.rows import column, flat
from tfrobust.types import Model, TensorLike

PERTURBATION, RADIUS = "perturbation", "radius"


class Found(NamedTuple):
    """What a search gives: inputs as seen, both ends of it, rows to keep."""

    seen: tf.Tensor
    start: tf.Tensor
    point: tf.Tensor
    rows: dict[str, tf.Tensor]
    reported: dict[str, tf.Tensor]


class Continued(Objective):
    """Searches from the perturbation that it remembers of each instance.

    It is remembered in units of epsilon, so it follows one that moves, and on
    the canvas of the augmentation. An instance that is seen for the first
    time, or `reset` visits later, starts at a random point of the threat.
    A subclass calls `_set` in its `__init__`, and writes `_ascend`.
    """

    attack: Any
    augmentation: Augmentation
    reset: int | None
    seed: int
    aligned = True  # With the inputs: no other augmentation may move them.

    def _set(self, augmentation, reset, seed):
        if augmentation is None:
            augmentation = Identity()
        example = "tfr.instances.CropFlip(padding=4)"
        checks.kind(augmentation, Augmentation, "augmentation", example)
        if reset is not None:
            checks.count(reset, "reset")
        self.augmentation, self.reset, self.seed = augmentation, reset, seed

    @abc.abstractmethod
    def _ascend(self, model, seen, y, start):
        """Searches from `start`.

        Returns:
            The worst points, where the next visit begins, more rows to keep by
            slot, and what to log.
        """

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Found:
        x = self.attack.threat.checked(x)
        seen = self.augmentation.apply(x, self.rows["index"], self.step)
        start = self._start(seen)
        point, last, rows, reported = self._ascend(model, seen, y, start)
        rows = {**rows, **self._kept(seen, last)}
        return Found(seen, start, point, rows, reported)

    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        worst = self.attack.logits(model, found.point, y, training=True)
        values = losses.per_example(self.loss, y, worst)
        return Outcome(
            values, None, self.by_name(worst), found.rows, found.reported
        )

    def _slots(self, shape, classes):
        canvas = self.augmentation.canvas(shape)
        return {PERTURBATION: Slot(canvas, unit=True), RADIUS: Slot()}

    def remark(self, memory: Memory) -> str | None:
        epsilon, radii = self.attack.threat.epsilon, memory.values(RADIUS)
        radii = radii[memory.values("visits") > 0]
        if not len(radii) or not isinstance(epsilon, float):
            return None
        if np.allclose(radii, epsilon, rtol=1e-4):
            return None
        return (
            "Perturbations are remembered in units of epsilon, which was "
            f"{np.mean(radii):.4g} and is {epsilon:.4g} now: they are scaled "
            "with it, and projected onto the threat."
        )

    def _start(self, seen):
        """Where the last visit ended, or a random point to begin with."""
        threat = self.attack.threat
        moved = self._window(PERTURBATION) * self._radii(seen)
        old = threat.project(seen, seen + moved)
        new = threat.sample(seen, streams.fold(self.seed, self.step))
        return tf.where(column(self._fresh(), seen), new, old)

    def _fresh(self):
        """Whether an instance begins anew, shape `[batch]`."""
        visits = self.rows["visits"]
        return visits == 0 if self.reset is None else visits % self.reset == 0

    def _kept(self, seen, point):
        """The rows by which a point is found again."""
        radii = self._radii(seen)
        moved = tf.math.divide_no_nan(point - seen, radii)
        canvas = self._on_canvas(PERTURBATION, moved)
        return {
            PERTURBATION: canvas,
            RADIUS: tf.reduce_max(flat(radii), axis=1),
        }

    def _window(self, slot):
        """What the network sees of a slot."""
        return self.augmentation.window(
            self.rows[slot], self.rows["index"], self.step
        )

    def _on_canvas(self, slot, values):
        """The rows of a slot with new values in their windows."""
        old = self.rows[slot]
        old = tf.where(column(self._fresh(), old), 0.0, old)
        return self.augmentation.restore(
            old, values, self.rows["index"], self.step
        )

    def _radii(self, seen):
        return self.attack.threat.radii(seen)
