"""Boxes in which a network is proven never to change its mind."""

import dataclasses

import numpy as np

from tfrobust.threats import Box


@dataclasses.dataclass(frozen=True)
class CertifiedBoxes:
    """A certified box around each example, and the cube to compare it with.

    Volumes are those of the radii, also where the box reaches beyond the valid
    range, and count the features that may be perturbed. An example without a
    certificate has radii of 0; so are its means, gains and similarities.

    Args:
        x: The inputs, shape `[batch, ...]`.
        threat: The boxes, a `Box`.
        uniform: The largest certified radius that all features may share,
            shape `[batch]`.
        certified: Whether the network is right in the whole box, `[batch]`.
        free: Which features may be perturbed, of x's shape.
    """

    x: np.ndarray
    threat: Box
    uniform: np.ndarray
    certified: np.ndarray
    free: np.ndarray

    @property
    def radii(self) -> np.ndarray:
        """The radius of each feature, of x's shape."""
        return np.asarray(self.threat.radius)

    @property
    def gain(self) -> np.ndarray:
        """Mean over the features of `log(radius / uniform)`, `[batch]`."""
        return self.total_gain / np.maximum(self._count(), 1)

    @property
    def total_gain(self) -> np.ndarray:
        """Log of the volume of the box over that of the cube, `[batch]`."""
        uniform = _log(self.uniform)[:, np.newaxis]
        ratios = np.where(self._free(), _log(_rows(self.radii)) - uniform, 0.0)
        return np.where(self.certified, ratios.sum(axis=1), 0.0)

    @property
    def geometric_mean(self) -> np.ndarray:
        """Geometric mean of the radii, shape `[batch]`."""
        return self.uniform * np.exp(self.gain)

    @property
    def arithmetic_mean(self) -> np.ndarray:
        """Arithmetic mean of the radii, shape `[batch]`."""
        return _rows(self.radii).sum(axis=1) / np.maximum(self._count(), 1)

    @property
    def similarity(self) -> np.ndarray:
        """Cosines between the radii of every two examples, `[batch, batch]`.

        Near 1 where the same features matter, whatever the example.
        """
        rows = _rows(self.radii)
        size = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.where(size > 0, size, 1.0)
        return rows @ rows.T

    def _free(self):
        return _rows(self.free) > 0

    def _count(self):
        return self._free().sum(axis=1)


def _rows(values):
    values = np.asarray(values, np.float64)
    return values.reshape(len(values), -1)


def _log(values):
    """The logarithm, and 0 for 0."""
    values = np.asarray(values, np.float64)
    return np.log(np.where(values > 0, values, 1.0))
