"""What a memory must hold for some training data, and for a batch of it."""

import warnings
from collections.abc import Callable
from typing import Any, NoReturn

import tensorflow as tf

from tfrobust import checks
from tfrobust.backend import keras
from tfrobust.instances.indexed import Indexed, unpacked
from tfrobust.instances.memory import Memory
from tfrobust.types import TensorLike


def make_room(
    memory: Memory,
    objective: Any,
    declared: int | None,
    network: keras.Model,
    x: Any,
) -> None:
    """Makes room for what an objective remembers, and checks the index.

    Args:
        memory: The model's.
        objective: What is trained.
        declared: The `instances` of `compile`, or None.
        network: The network that is trained.
        x: What `fit` got as x: arrays, or whatever gives batches.

    Raises:
        TypeError: If `Indexed` holds lists.
        ValueError: If the instances, or their number, can't be known, or
            their positions are wrong.
    """
    if not objective.remembers():
        return
    if isinstance(x, Indexed) and not all(hasattr(p, "shape") for p in x):
        raise TypeError(
            "`Indexed` must hold arrays. Received: "
            f"{', '.join(type(part).__name__ for part in x)}. Pass "
            "np.asarray(index)."
        )
    inputs, index = _first(x)
    # What a generator yields is seen at the first step.
    if index is None and not hasattr(inputs, "__next__"):
        refuse_unindexed(objective)
    size = _size(x, declared, memory.size)
    _check_index(x, size)
    memory.make(size, objective.slots(*_shapes(network, inputs)))


def with_remarks(callbacks: Any, remarks_of: Callable) -> Any:
    """The callbacks of `fit`, and one that warns as training begins.

    Args:
        callbacks: What `fit` got.
        remarks_of: Function of the first step and of the step after the last,
            None if it isn't known, that returns sentences.
    """
    remarks = _Remarks(remarks_of)
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks.append(remarks)
        return callbacks
    return [callbacks or [], remarks]


class _Remarks(keras.callbacks.Callback):
    """Warns before the first step.

    The last of `fit`'s callbacks: `BackupAndRestore` restores as training
    begins.
    """

    def __init__(self, remarks_of: Callable):
        super().__init__()
        self._remarks_of = remarks_of

    def on_train_begin(self, logs: dict | None = None) -> None:
        begin = int(tf.convert_to_tensor(self.model.optimizer.iterations))
        steps = self.params.get("steps")
        end = steps and begin + steps * self.params.get("epochs", 1)
        for remark in self._remarks_of(begin, end):
            warnings.warn(remark, stacklevel=2)


def recalled(
    memory: Memory, objective: Any, index: TensorLike | None
) -> dict[str, Any]:
    """What is remembered of a batch by slot, its checked `index` included.

    Empty if the objective remembers nothing.
    """
    if not objective.remembers():
        return {}
    if index is None or not memory.size:
        refuse_unindexed(objective)
    index = memory.checked(index)
    return {**memory.read(index), "index": index}


def refuse_unindexed(objective: Any) -> NoReturn:
    """Says that an objective needs to know its instances."""
    raise ValueError(
        f"{type(objective).__name__} remembers something of each instance, so "
        "it must know which ones a batch holds. Received inputs without "
        "their index. Pass fit(tfr.instances.Indexed(x, np.arange(len(x))), "
        "y), or put Indexed into your dataset before it is shuffled."
    )


def _check_index(inputs: Any, size: int) -> None:
    """Checks the positions of arrays, before Keras makes batches of them.

    Raises:
        ValueError: If positions aren't distinct, in range, one for each input.
    """
    if not isinstance(inputs, Indexed):
        return
    x, index = inputs
    checks.positions(index, size)
    if len(x) != len(index):
        raise ValueError(
            "`Indexed` must hold one position for each input. Received: "
            f"{len(x)} inputs and {len(index)} positions."
        )


def _size(data: Any, declared: int | None, made: int) -> int:
    """The number of instances that data, or `compile`, tell of.

    Raises:
        ValueError: If neither tells.
    """
    if declared is not None:
        return declared
    if isinstance(data, Indexed):
        return len(data.x)
    if made:
        return made
    raise ValueError(
        "The number of training instances must be known to remember something "
        f"of each. Received: {type(data).__name__}, whose batches don't tell. "
        "Pass compile(..., instances=n)."
    )


def _shapes(network: keras.Model, x: Any) -> tuple[tuple, int]:
    """The shape of one input, and the number of outputs."""
    shape = tuple(getattr(network, "input_shape", None) or (None, None))[1:]
    if None in shape:
        shape = tuple(x.shape[1:])
    outputs = getattr(network, "output_shape", None)
    if outputs is None:  # Of a subclass, which has a shape for each input.
        outputs = network(tf.zeros([1, *shape]), training=False).shape
    return shape, outputs[-1]


def _first(data: Any) -> tuple[Any, Any]:
    """Inputs and positions: arrays, or what has the shape of a batch."""
    batch: Any = (data,)
    if isinstance(data, tf.data.Dataset):
        batch = data.element_spec
    elif isinstance(data, keras.utils.Sequence):
        batch = data[0]
    return unpacked(batch)[0]
