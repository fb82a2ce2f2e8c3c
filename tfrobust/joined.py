"""Networks of several inputs or outputs as networks of one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import backend, checks, columns, losses
from tfrobust.backend import keras, register, restored
from tfrobust.joined_loss import JoinedLoss
from tfrobust.threats import Box, Threat


@register
class Joined(keras.Model):
    """A network of several inputs, or outputs, as one of one each.

    Inputs become the columns of one array, `join` makes it, and so do outputs.
    It shares the network's weights, and goes wherever a Keras model does:
    into a `RobustModel`, attacks, `evaluate`, `certify` and `export`. A network
    of one input keeps it as it is.

    Args:
        network: A functional Keras model.
        output: Name of the output to keep, a key or the name of its layer (of a
            layer r with three `r`, `r_1`, `r_2`); None keeps all. Of several,
            `loss_of` and `targets` make a loss.
        name: Name of the model.

    Raises:
        TypeError: If `network` isn't a functional model.
        ValueError: If the size of an input is open, there is no such output, or
            it is a Sequential model.

    Example:
        ```
        a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
        logits = keras.layers.Dense(3)(keras.layers.Concatenate()([a, b]))
        joined = tfr.Joined(keras.Model([a, b], logits))
        threat = joined.threat({"a": tfr.threats.Linf(0.1)})  # b stays.
        rows = joined.join({"a": np.ones((8, 4)), "b": np.zeros((8, 2))})
        y = np.arange(8) % 3
        points = tfr.attacks.PGD(threat).perturb(joined, rows, y)
        ```
    """

    def __init__(
        self,
        network: keras.Model,
        output: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        backend.check_network(network)
        if not getattr(network, "inputs", None) or not network.outputs:
            raise TypeError(
                "`network` must be a functional Keras model, built. Received: "
                f"{network!r}. Call it on keras.Input tensors, and make a "
                "keras.Model of these and what it returns."
            )
        expected = "have several inputs or outputs, which a Sequential hasn't"
        several = not isinstance(network, keras.Sequential)
        checks.argument(several, "network", expected, network)
        given = network.input
        shapes, kinds = columns.shapes(given)
        x: Any = keras.Input(shapes[0], dtype=kinds[0])
        parts, begin = [x], 0
        if len(shapes) > 1:
            sizes = [int(np.prod(shape)) for shape in shapes]
            x, parts = keras.Input((sum(sizes),), name="joined"), []
            for shape, kind, size in zip(shapes, kinds, sizes, strict=True):
                parts.append(columns.Part(begin, shape, kind)(x))
                begin += size
        fed = tf.nest.pack_sequence_as(given, parts)
        chosen, kept = columns.chosen(network, network(fed), output)
        name = name or network.name
        super().__init__(inputs=x, outputs=chosen, name=name, **kwargs)
        self.network, self.output_kept = network, output
        self.input_parts = dict(zip(columns.names(given), shapes, strict=True))
        self.output_parts = kept

    def join(self, inputs: Any) -> Any:
        """One array of several inputs, `[n, columns]`, float32.

        Args:
            inputs: Arrays or tensors, `[n, ...]`, as the network takes them: by
                name or in a list.

        Raises:
            ValueError: If there are others than the network's, one has another
                shape or length, or a whole number isn't one of float32.
        """
        named = isinstance(self.network.input, dict)
        return columns.joined(inputs, self.input_parts, named)

    def split(self, x: Any) -> dict[str, Any]:
        """The inputs of an array, by name: what `join` undoes."""
        found, begin = {}, 0
        for name, shape in self.input_parts.items():
            end = begin + int(np.prod(shape))
            found[name] = tf.reshape(x[:, begin:end], [-1, *shape]).numpy()
            begin = end
        return found

    def threat(self, threats: Mapping[str, Threat]) -> Threat:
        """A threat of the joined inputs; those that it doesn't name stay.

        Args:
            threats: A threat by the name of its input. Several must be boxes
                (`Linf`, `Box`), since those of a norm are no ball together.

        Raises:
            TypeError: If one is no threat.
            ValueError: If a name isn't that of an input, numbers don't fit its
                shape, or several aren't all boxes.
        """
        unknown = sorted(set(threats) - set(self.input_parts))
        expected = f"name some of the inputs {[*self.input_parts]}"
        checks.argument(
            bool(threats) and not unknown, "threats", expected, [*threats]
        )
        for name, threat in threats.items():
            shown = f"threats[{name!r}]"
            checks.kind(threat, Threat, shown, "tfr.threats.Linf(0.1)")
        rows = [
            columns.spread(threats.get(n), s, n)
            for n, s in self.input_parts.items()
        ]
        radius, low, high, mask = (
            np.concatenate([row[k] for row in rows])[np.newaxis]
            for k in range(4)
        )
        if len(threats) > 1:
            for name, threat in threats.items():
                fits = threat.is_box and not threat.schedules()
                expected = "be boxes, such as Linf or Box, if there are several"
                checks.argument(fits, f"threats[{name!r}]", expected, threat)
            return Box(radius * mask, low, high)
        (threat,) = threats.values()
        alike = np.ndim(threat.epsilon) == 0
        epsilon = threat.epsilon if alike else radius
        return threat.replace(epsilon=epsilon, low=low, high=high, mask=mask)

    def loss_of(
        self,
        parts: Mapping[str, Any],
        weights: Mapping[str, float] | None = None,
    ) -> JoinedLoss:
        """A loss of the joined outputs: the sum of one for each.

        Args:
            parts: Keras losses on logits, or names of such, by output.
            weights: Of some of them, by output; 1 for the others.

        Raises:
            ValueError: If a name isn't that of an output, or a loss is missing.
        """
        same = set(parts) == set(self.output_parts)
        expected = f"name the outputs {[*self.output_parts]}"
        checks.argument(same, "parts", expected, [*parts])
        named = set(weights or {}) <= set(self.output_parts)
        expected = f"name some of the outputs {[*self.output_parts]}"
        checks.argument(named, "weights", expected, [*(weights or {})])
        found = [losses.get(parts[name]) for name in self.output_parts]
        given = weights or {}
        return JoinedLoss(
            found,
            [int(np.prod(shape)) for shape in self.output_parts.values()],
            [float(given.get(name, 1.0)) for name in self.output_parts],
        )

    def targets(self, parts: Mapping[str, Any]) -> Any:
        """Targets of all outputs, by name, as one array for `loss_of`."""
        same = set(parts) == set(self.output_parts)
        expected = f"name the outputs {[*self.output_parts]}"
        checks.argument(same, "parts", expected, [*parts])
        named = {name: parts[name] for name in self.output_parts}
        return columns.row(named, "parts")

    def get_config(self) -> dict[str, Any]:
        network = keras.saving.serialize_keras_object(self.network)
        own = {"network": network, "output": self.output_kept}
        return {**own, "name": self.name}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict | None = None
    ) -> "Joined":
        return cls(**restored(config, custom_objects, "network"))
