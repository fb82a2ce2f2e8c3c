"""What must hold of data, also once a step is compiled.

There the assertion's sentence comes wrapped in the op's own text; whoever runs
compiled steps unwraps it.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import tensorflow as tf


def require(condition: Any, sentence: str, value: Any, culprits: Any) -> Any:
    """Returns `value`, once `condition` holds.

    Args:
        condition: A truth, or a tensor of one.
        sentence: What was expected, up to what was received.
        value: What is returned.
        culprits: The numbers that were received, two of them.

    Raises:
        ValueError: Of eager values; in a graph the op raises
            `tf.errors.InvalidArgumentError`, see `in_one_sentence`.
    """
    if tf.executing_eagerly():
        if not condition:
            found = ", ".join(f"{float(c):g}" for c in culprits)
            raise ValueError(f"{sentence}: {found}.")
        return value
    # Not `tf.debugging.Assert`, which wraps it in a conditional of 15 ops.
    data = [tf.convert_to_tensor(datum) for datum in (sentence, *culprits)]
    assertion = tf.raw_ops.Assert(condition=condition, data=data)
    with tf.control_dependencies([assertion]):
        return tf.identity(value)


@contextlib.contextmanager
def in_one_sentence() -> Iterator[None]:
    """Says of a failed check in a compiled step what it says eagerly.

    Also of one that failed while tf_keras traced the step, which AutoGraph
    wraps in the lines that called it.
    """
    message = None
    try:
        yield
    except (TypeError, ValueError) as error:
        kind, text = type(error), str(error)
        said = text.rpartition(f" {kind.__name__}: ")[2].strip()
        # Of a fault in the user's own layers the lines say where it is.
        if not text.startswith("in user code:") or "Received" not in said:
            raise
        raise kind(said) from None
    except tf.errors.InvalidArgumentError as error:
        pattern = r"assertion failed: \[(.*?)\] \[([^]]*)\] \[([^]]*)\]\s"
        found = re.search(pattern, f"{error.message}\n", re.DOTALL)
        if not found or "Received" not in found[1]:
            raise
        sentence = found[1].replace("\\'", "'")
        message = f"{sentence}: {found[2]}, {found[3]}."
    if message:
        raise tf.errors.InvalidArgumentError(None, None, message)
