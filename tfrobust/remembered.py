"""A value that differs by instance: a row of the model's memory."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfrobust.backend import Schedule, register
from tfrobust.types import TensorLike


@register
class Remembered(Schedule):
    """What a `RobustModel` remembers of each instance, in place of a number.

    It goes wherever a schedule goes. Where a schedule takes its value at the
    training step, this takes a row of the memory for each instance of the
    batch, shape `[batch]`.

    Args:
        slot: Name of what is remembered, one of the objective's `slots`.

    Raises:
        TypeError: If `slot` is no string.

    Example:
        linf = tfr.threats.Linf(tfr.instances.Remembered("epsilon"))
        attack = tfr.attacks.PGD(linf)
    """

    def __init__(self, slot: str):
        if not isinstance(slot, str):
            raise TypeError(
                "`slot` must be the name of what an objective remembers, such "
                f"as 'epsilon'. Received: slot={slot!r}"
            )
        self.slot = slot

    def __call__(self, step: TensorLike) -> tf.Tensor:
        raise TypeError(
            f"{self!r} has a value for each instance, and none at a step. "
            "Pass a number or a schedule here."
        )

    def of(self, rows: Mapping[str, tf.Tensor] | None) -> tf.Tensor:
        """The rows of its slot.

        Args:
            rows: What is remembered of the batch by slot, or None.

        Raises:
            ValueError: If nothing of that name is remembered.
        """
        if not rows or self.slot not in rows:
            names = ", ".join(sorted(rows or {})) or "nothing"
            raise ValueError(
                f"{self!r} must name a slot of the training objective, which "
                f"remembers {names}. Train with an objective that declares "
                f"{self.slot!r} in its `slots`, or pass a number."
            )
        return rows[self.slot]

    def get_config(self) -> dict[str, Any]:
        return {"slot": self.slot}

    def __repr__(self) -> str:
        return f"Remembered(slot={self.slot!r})"
