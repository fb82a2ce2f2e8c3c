"""What `tfrobust.compression.report` found."""

import dataclasses
import math

import numpy as np

from tfrobust import pictures
from tfrobust.types import Path


@dataclasses.dataclass(frozen=True)
class SizeReport:
    """Figures of a model's kernels, and bytes of the whole model.

    Attributes:
        layers: A dictionary for each kernel: its kept weights, their share
            ("density"), bits that a weight takes on disk, channels without a
            kept weight ("dead"), how many of them a random mask of that many
            weights would leave, and products of kept weights that one example
            takes ("operations").
        storage: Dictionary of scheme to bytes of all weights, on "disk" and in
            "memory", where every kernel is unpacked to float32. None where the
            scheme cannot hold the model: signs alone need one magnitude in
            each output channel, and a plane of signs no zeros.
        patterns: Dictionary of layer to the number of weights that are kept
            between each input and output channel; further kernels of a name
            are numbered, as in "gru-2".
    """

    layers: list[dict]
    storage: dict[str, dict]
    patterns: dict[str, np.ndarray]

    def to_dict(self) -> dict:
        """Everything but the patterns, ready for JSON."""
        return {"layers": self.layers, "storage": self.storage}

    def save_figure(self, path: Path) -> None:
        """Draws which weights are kept, a panel for each layer.

        Args:
            path: File to write, such as `"pattern.svg"`.

        Raises:
            ImportError: If matplotlib is missing.
        """
        columns = min(4, len(self.patterns))
        rows = math.ceil(len(self.patterns) / columns)
        figure = pictures.figure(3 * columns, 3 * rows)
        panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
        for panel in panels[len(self.patterns) :]:
            panel.set_axis_off()
        for panel, name in zip(panels, self.patterns, strict=False):
            shown = panel.imshow(
                self.patterns[name], cmap="viridis", aspect="auto", vmin=0
            )
            figure.colorbar(shown, ax=panel, label="kept weights")
            panel.set(
                title=name, xlabel="output channel", ylabel="input channel"
            )
        pictures.save(figure, path)

    def __str__(self):
        header = (
            "layer",
            "shape",
            "weights",
            "kept",
            "density",
            "bits",
            "dead inputs (random)",
            "dead outputs (random)",
            "operations",
        )
        schemes = [
            (name, _number(found["disk"]), _number(found["memory"]))
            for name, found in self.storage.items()
        ]
        return "\n\n".join(
            [
                _table(
                    header, [_cells(x) for x in (*self.layers, self._sum())]
                ),
                _table(("storage", "bytes on disk", "in memory"), schemes),
            ]
        )

    def _sum(self):
        """The row of the whole model."""

        def total(key):
            return sum(row[key] or 0 for row in self.layers)

        weights = total("weights")
        bits = sum(row["bits"] * row["weights"] for row in self.layers)
        keys = [k for k in self.layers[0] if k not in ("layer", "shape")]
        return {
            **{key: total(key) for key in keys},
            "layer": "all",
            "shape": (),
            "density": total("kept") / weights,
            "bits": bits / weights,
        }


def _cells(row):
    def dead(side):
        return (
            f"{row[f'dead_{side}']}/{row[side]} "
            f"({row[f'dead_{side}_if_random']:.1f})"
        )

    return (
        row["layer"],
        "x".join(map(str, row["shape"])),
        _number(row["weights"]),
        _number(row["kept"]),
        f"{row['density']:.4f}",
        f"{row['bits']:.3f}",
        dead("inputs"),
        dead("outputs"),
        _number(row["operations"]),
    )


def _number(value):
    return "-" if value is None else f"{value:,}"


def _table(header, rows):
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
