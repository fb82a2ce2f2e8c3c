"""What is compiled once and serves threats of other values.

Only the values of a threat may differ, not its form: epsilon or radius and, of
boxes, the valid range. They are variables of what is compiled.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfrobust.backend import Schedule
from tfrobust.threats import Threat
from tfrobust.types import Model


class Compiled:
    """Functions compiled for a network and a form of threat.

    Attributes:
        clauses: The `Clauses` that were asked last, None before.
    """

    def __init__(self) -> None:
        self._key: Any = None
        self._threat: Any = None
        self._functions: Any = None
        self.clauses: Any = None

    def of(
        self,
        make: Callable[[Threat], Any],
        model: Model,
        threat: Threat,
        shape: Sequence[int],
        *settings: Any,
    ) -> Any:
        """What `make` returned for a threat of this form, with its values.

        Args:
            make: Compiles functions for a threat whose values are variables.
            model: The network that they are about.
            threat: The `Threat`.
            shape: Shape of one input.
            *settings: What else they are compiled for.
        """
        values = _values(threat)
        key = model, *_form(threat, values), tuple(shape), settings
        if self._key != key:
            variables = {
                name: tf.Variable(value, trainable=False)
                for name, value in values.items()
            }
            self._threat = threat._replace(**variables)
            self._functions, self._key = make(self._threat), key
        for name, value in values.items():
            getattr(self._threat, name).assign(value)
        return self._functions


def _values(threat):
    """What may differ, by name, as float32."""
    ends = ["low", "high"] if threat.is_box else []
    found = {n: getattr(threat, n) for n in [*threat.per_example, *ends]}
    return {
        name: tf.cast(value, tf.float32)
        for name, value in found.items()
        if value is not None and not isinstance(value, Schedule)
    }


def _form(threat, values):
    """What threats must share, to serve one after the other."""
    shapes = tuple((name, tuple(v.shape)) for name, v in values.items())
    # The compiled threat keeps arrays, so that no other one has their number.
    same = tuple(
        (name, id(value) if hasattr(value, "shape") else value)
        for name, value in vars(threat).items()
        if name not in values
    )
    return type(threat), shapes, same
