"""A SavedModel on disk as a callable of logits."""

import os
import pathlib

import numpy as np
import tensorflow as tf

from tfrobust import files
from tfrobust.types import TensorLike


class Served:
    """What a SavedModel answers.

    Args:
        folder: The folder that holds `saved_model.pb`.
        signature: The signature to call.
        output: The name of the logits among its outputs.

    Call arguments:
        x: Inputs, shape `[batch, ...]`.

    Raises:
        ValueError: If files aren't those of which the folder's card tells,
            there is no such signature or output, or the signature takes more
            than one input.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        signature: str = "serving_default",
        output: str = "logits",
    ) -> None:
        files.check_hash(folder)
        self._model = tf.saved_model.load(str(folder))
        signatures = self._model.signatures
        if signature not in signatures:
            raise ValueError(
                f"The SavedModel has no signature {signature!r}. "
                f"It has: {sorted(signatures)}."
            )
        self._call = signatures[signature]
        inputs = self._call.structured_input_signature[1]
        outputs = self._call.structured_outputs
        if len(inputs) != 1:
            raise ValueError(
                "A signature must take one input to be judged. "
                f"{signature!r} takes: {sorted(inputs)}."
            )
        if output not in outputs:
            raise ValueError(
                f"The signature {signature!r} has no output {output!r}. It "
                f"has: {sorted(outputs)}. Probabilities can't be bounded: "
                "export the logits too, as tfr.export does."
            )
        ((self._input, spec),) = inputs.items()
        self._output, self.input_shape = output, tuple(spec.shape)
        self.name = str(folder)
        # A loaded module doesn't list its variables: the files stand for them.
        self.weights = [
            np.frombuffer(part.read_bytes(), np.uint8)
            for part in sorted(pathlib.Path(folder).rglob("*"))
            if part.name == "saved_model.pb" or part.parent.name == "variables"
        ]

    def __call__(self, x: TensorLike, training: bool = False) -> tf.Tensor:
        return self._call(**{self._input: tf.convert_to_tensor(x)})[
            self._output
        ]
