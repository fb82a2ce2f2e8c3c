"""What one adversary of an evaluation shows: its stages, put together."""

import dataclasses

import numpy as np

from tfrobust.attacks import AutoAttack, Ensemble
from tfrobust.evaluation.adversaries import nature


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

    def pictures(self, clean):
        """What the last stage that ran made of the first examples."""
        shown = clean.pictures(None)
        for stage in self.stages:
            shown = stage.pictures(shown)
        return shown
