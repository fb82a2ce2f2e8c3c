"""What one adversary of an evaluation shows: its stages, put together."""

import dataclasses
from typing import Any

import numpy as np

from tfrobust.attacks import AutoAttack, Ensemble
from tfrobust.evaluation.adversaries import nature
from tfrobust.verifier import Verifier


class Sequence:
    """The stages of one adversary: one, or one for each of an ensemble.

    Each component runs on what those before left right.

    Args:
        run: The `Run` that they belong to.
        name: The adversary's name in the report.
        adversary: The `Adversary`.
    """

    def __init__(self, run, name, adversary):
        self.name, self.adversary, self.notes = name, adversary, []
        parts, ensemble = {name: adversary}, None
        if isinstance(adversary, (AutoAttack, Ensemble)):
            components = adversary.components(run.classes)
            parts = {f"{name}: {n}": part for n, part in components.items()}
            self.notes, ensemble = adversary.notes(run.classes), name
        self.stages, before = [], run.clean
        for part, attack in parts.items():
            before = run.stage(part, attack, before.right, ensemble)
            self.stages.append(before)

    def names(self):
        """The names of its rows."""
        parts = [stage.name for stage in self.stages]
        return [*parts, self.name] if len(parts) > 1 else [self.name]

    def rows(self, count, standing):
        """A row for each component if there are several, and one for all.

        Args:
            count: Number of examples.
            standing: Which of them are right clean, shape `[count]`.
        """
        rows = []
        for stage in self.stages:
            rows.append(stage.row(count, standing))
            standing = rows[-1].correct
        known = nature(self.adversary)
        known["gradient_free"] = all(row.gradient_free for row in rows)
        total = dataclasses.replace(
            rows[-1],
            name=self.name,
            ensemble=None,
            **known,
            largest_norm=float(np.max([row.largest_norm for row in rows])),
            inside=all(row.inside for row in rows),
            finite=all(row.finite for row in rows),
            forwards=sum(row.forwards for row in rows),
            backwards=sum(row.backwards for row in rows),
            seconds=sum(row.seconds for row in rows),
        )
        return [*rows, total] if len(rows) > 1 else [total]

    def predicted(self, clean, index):
        """What was answered to the points of each row, by its name.

        Where an attack didn't run, the point is the one before.

        Args:
            clean: The answers to the clean inputs, shape `[n]`.
            index: Positions of the examples, shape `[n]`.
        """
        found: dict[str, Any] = {}
        if isinstance(self.adversary, Verifier):
            return found
        for stage in self.stages:
            answer = stage.take("predicted", index, np.int64)
            clean = np.where(stage.known(index), answer, clean)
            found[stage.name] = clean
        return {**found, self.name: clean}

    def pictures(self, clean):
        """What the last stage that ran made of the first examples."""
        shown = clean.pictures(None)
        for stage in self.stages:
            shown = stage.pictures(shown)
        return shown
