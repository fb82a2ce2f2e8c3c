"""What every training objective shares."""

import abc
from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from tfrobust import losses
from tfrobust.adversary import Adversary, distinct, kind
from tfrobust.configurable import Configurable
from tfrobust.instances.memory import Memory
from tfrobust.instances.preparation import refuse_unindexed
from tfrobust.instances.slot import Slot
from tfrobust.types import Loss, Model, TensorLike


class Outcome(NamedTuple):
    """What one training forward gives.

    Attributes:
        losses: Per-example losses, shape `[batch]`.
        clean: Logits at x, `[batch, classes]`, or None if not computed.
        worst: The logits of each adversary by its name, see `by_name`.
        rows: What to remember of each instance, by slot, `[batch, ...]`.
        reported: Values to log the mean of, `[batch]`, by a name of `reports`.
    """

    losses: Any
    clean: Any = None
    worst: dict[str, Any] = {}
    rows: dict[str, Any] = {}
    reported: dict[str, Any] = {}


class Objective(Configurable, abc.ABC):
    """How the worst case is used to learn: per-example training losses.

    Arguments that are schedules take their value at the training step, those
    that are `Remembered` their rows. `loss` is the Keras loss that
    `RobustModel.compile` binds.

    What it remembers of each instance it declares by `_slots`, reads from
    `self.rows` and returns in `Outcome.rows`: the model writes it. Beside its
    slots `rows` holds `index`, the positions of the instances in the training
    data, and `visits`, how often each was seen before.

    Call arguments:
        model: The network, `model(x, training) -> logits`.
        x: Inputs in the threat's valid range, shape `[batch, ...]`, float32.
        y: Labels, shape `[batch]`.
        step: The optimizer's step, a scalar integer.
        rows: What is remembered of the batch by slot, if it has slots.

    Returns:
        Per-example losses, shape `[batch]`.
    """

    loss: Any = losses.CrossEntropy()
    sample_weight: Any = None  # Of this batch, set by `weigh`.
    step: Any = 0  # The training step, set by `at`.
    rows: Mapping[str, Any] = {}  # What is remembered of this batch; by `at`.
    reports: tuple[str, ...] = ()  # What it logs, see `Outcome.reported`.
    of_classes = False  # Whether it reads outputs as logits of classes.
    aligned = False  # Whether its rows have pixels that lie under x's.

    def __call__(
        self,
        model: Model,
        x: TensorLike,
        y: TensorLike,
        step: TensorLike = 0,
        rows: Mapping[str, tf.Tensor] | None = None,
    ) -> tf.Tensor:
        now = self.at(step, rows)
        found = now.search(model, x, y)
        found = tf.nest.map_structure(_constant, found)
        return now.outcome(model, x, y, found).losses

    def search(self, model: Model, x: TensorLike, y: TensorLike) -> Any:
        """Does the work that no gradient flows through; see `outcome`."""
        return x

    @abc.abstractmethod
    def outcome(
        self, model: Model, x: TensorLike, y: TensorLike, found: Any
    ) -> Outcome:
        """Returns the `Outcome`, from what `search` found."""

    def watched(self, found: Any) -> tf.Tensor | None:
        """The part of what `search` found whose gradient `after` reads.

        None, unless a subclass says otherwise. It costs no pass: one backward
        pass gives it and the gradient of the weights.
        """
        return None

    def after(
        self, outcome: Outcome, found: Any, gradient: tf.Tensor | None
    ) -> Outcome:
        """Returns the outcome once the optimizer has stepped.

        Args:
            outcome: What `outcome` returned.
            found: What `search` found.
            gradient: That of the mean loss by what is `watched`, or None.
        """
        return outcome

    def slots(self, shape: tuple, classes: int) -> dict[str, Slot]:
        """What it and objectives inside remember of each instance, by name.

        Args:
            shape: Of one input, without the batch.
            classes: Number of the model's outputs.

        Raises:
            ValueError: If two of them use one name.
        """
        slots = dict(self._slots(shape, classes))
        for inner in self._inner().values():
            for name, slot in inner.slots(shape, classes).items():
                if name in slots:
                    raise ValueError(
                        "Objectives inside each other must remember under "
                        f"different names. Received {name!r} twice, in "
                        f"{self!r}. Use one of them."
                    )
                slots[name] = slot
        return slots

    def remembers(self) -> bool:
        """Whether it, or an objective inside, has slots."""
        own = type(self)._slots is not Objective._slots
        return own or any(inner.remembers() for inner in self._inner().values())

    def remark(self, memory: Memory) -> str | None:
        """What to say of a memory that training goes on with, if anything."""
        return None

    def remarks(self, memory: Memory) -> list[str]:
        """What it and objectives inside have to say of a memory."""
        inner = [part.remarks(memory) for part in self._inner().values()]
        own = self.remark(memory) if memory.size else None
        return sum(inner, [own] if own else [])

    def keeps_pixels(self) -> bool:
        """Whether it, or one inside, is `aligned`."""
        inner = self._inner().values()
        return self.aligned or any(part.keeps_pixels() for part in inner)

    def _slots(self, shape, classes):
        """What itself remembers, as `slots`."""
        return {}

    def at(
        self,
        step: TensorLike,
        rows: Mapping[str, tf.Tensor] | None = None,
    ) -> "Objective":
        if not rows and self.remembers():
            refuse_unindexed(self)
        return super().at(step, rows)._replace(step=step, rows=rows or {})

    def reported(self) -> tuple[str, ...]:
        """Names of all that it and objectives inside log."""
        inner = (part.reported() for part in self._inner().values())
        return sum(inner, self.reports)

    def bind(self, loss: Loss) -> "Objective":
        """Returns a copy that applies `loss`, also in objectives inside."""
        return self._everywhere(loss=loss)

    def weigh(self, sample_weight: TensorLike | None) -> "Objective":
        """Returns a copy for a batch of examples that weigh differently."""
        return self._everywhere(sample_weight=sample_weight)

    def _everywhere(self, **attributes):
        inner = {
            name: value._everywhere(**attributes)
            for name, value in self._inner().items()
        }
        return self._replace(**attributes, **inner)

    def _inner(self):
        """The objectives that it holds itself, by attribute."""
        return {
            name: value
            for name, value in vars(self).items()
            if isinstance(value, Objective)
        }

    def adversaries(self) -> dict[str, Adversary]:
        """Returns the adversaries it trains against, those inside included.

        They are named after their classes and their steps, as their metrics
        are: `pgd10`; another one of the same name is `pgd10-2`.
        """
        found: list[tuple] = []
        for value in vars(self).values():
            if isinstance(value, Adversary):
                found.append((kind_and_steps(value), value))
            elif isinstance(value, Objective):
                found += value.adversaries().items()
        return distinct(found)

    def beside_clean(
        self,
        model: Model,
        x: TensorLike,
        y: TensorLike,
        values: tf.Tensor,
        worst: dict[str, tf.Tensor],
        mix: Any,
    ) -> Outcome:
        """The outcome of losses, of weight `mix`, beside the clean loss.

        At the number 1 that isn't computed.
        """
        if isinstance(mix, (int, float)) and mix == 1:
            return Outcome(values, worst=worst)
        clean = model(x, training=True)
        clean_loss = losses.per_example(self.loss, y, clean)
        return Outcome((1 - mix) * clean_loss + mix * values, clean, worst)

    def by_name(self, *worst: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the logits of each adversary, in the order of all, by name.

        For `Outcome.worst`.
        """
        return dict(zip(self.adversaries(), worst, strict=True))


def _constant(value):
    """What a search found, with no gradient; it may be no tensor at all."""
    return tf.stop_gradient(value) if tf.is_tensor(value) else value


def kind_and_steps(adversary: Adversary) -> str:
    """The name of its class, and its steps if it has any: `"pgd10"`."""
    return f"{kind(adversary)}{getattr(adversary, 'steps', '')}"
