"""Attacks one after the other, each on what those before left standing."""

import dataclasses

import numpy as np

from tfrobust.evaluation.adversaries import nature


class Sequence:
    """The stages of one adversary: one, or one for each of an ensemble.

    Args:
        name: The adversary's name in the report.
        adversary: The `Adversary`.
        stages: A list of `Stage`.
        notes: Sentences on what an ensemble had to leave out.
    """

    def __init__(self, name, adversary, stages, notes=()):
        self.name, self.adversary = name, adversary
        self.stages, self.notes = stages, notes

    def names(self):
        """The names of its rows."""
        parts = [stage.name for stage in self.stages]
        return [*parts, self.name] if len(parts) > 1 else [self.name]

    def __call__(self, x, y, index, standing, done):
        """Runs what isn't known yet on one batch.

        Args:
            x: Inputs, shape `[batch, ...]`.
            y: Labels, shape `[batch]`.
            index: Positions of the examples in the data, shape `[batch]`.
            standing: Which examples are right clean, shape `[batch]`.
            done: Is called after each stage.
        """
        for stage in self.stages:
            left = np.flatnonzero(standing)
            right = stage(x[left], y[left], index[left])
            standing = np.isin(np.arange(len(x)), left[right])
            done()

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
        total = dataclasses.replace(
            rows[-1],
            name=self.name,
            ensemble=None,
            **nature(self.adversary),
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
