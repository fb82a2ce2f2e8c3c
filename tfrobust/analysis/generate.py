"""Images of a class, made of others by what a model takes for it."""

from typing import NamedTuple

import numpy as np

from tfrobust import checks
from tfrobust.analysis.problem import in_batches, predicted, problem
from tfrobust.attacks import PGD
from tfrobust.averaging import on_network
from tfrobust.threats import L2
from tfrobust.types import Model, TensorLike


class Generated(NamedTuple):
    """What `generate` made.

    Attributes:
        images: Of x's shape, float32.
        reached: Whether the model takes each for the target, shape `[batch]`.
        judged: The same of the independent network; None without one.
    """

    images: np.ndarray
    reached: np.ndarray
    judged: np.ndarray | None

    @property
    def accuracy(self) -> float:
        """The share that the independent network takes for the target.

        Raises:
            ValueError: If there was no such network.
        """
        if self.judged is None:
            raise ValueError(
                "An accuracy needs an independent network. Received: "
                "judge=None. Pass one to `generate`."
            )
        return float(np.mean(self.judged))


@on_network
def generate(
    model: Model,
    x: TensorLike,
    target: TensorLike,
    epsilon: float,
    steps: int = 60,
    low: float = 0.0,
    high: float = 1.0,
    judge: Model | None = None,
    batch_size: int = 128,
) -> Generated:
    """Moves inputs to another class, far enough that people might see it.

    Targeted PGD in the Euclidean norm descends the cross entropy of the
    target, from x, by steps of 2.5 epsilon over their number. Of a network
    whose gradients mean something, other networks recognise what results.

    Args:
        model: A `RobustModel`, or any callable `model(x, training=False) ->
            logits`, whose gradients are followed.
        x: Inputs in `[low, high]`, shape `[batch, ...]`, floating point.
        target: The class to reach, one for all or shape `[batch]`.
        epsilon: Largest Euclidean distance from x, in the units of x.
        steps: Number of steps.
        low: Smallest valid value of an input.
        high: Largest valid value of an input.
        judge: An independent network, of the same kinds as `model`, trained
            on its own; None for none.
        batch_size: Number of examples that are worked on at once.

    Returns:
        A `Generated`.

    Raises:
        ValueError: If an argument isn't as expected, or no gradient reaches
            the model's input.

    Example:
        made = tfr.analysis.generate(robust, x, 3, epsilon=5.0, judge=plain)
        print(made.accuracy)

    Reference: Santurkar et al., 2019, arXiv 1906.09453.
    """
    checks.number(epsilon, "epsilon", 0)
    checks.count(steps, "steps")
    wanted = np.asarray(target)
    if wanted.ndim == 0:
        wanted = np.full(len(np.atleast_1d(np.asarray(x))), wanted)
    x, wanted = problem(model, x, wanted, batch_size)
    attack = PGD(
        L2(epsilon, low, high),
        steps,
        step_size=2.5 / steps,
        random_start=0.0,
        targeted=True,
    )
    attack.threat.checked(x)

    def made(x, y):
        return attack.perturb(model, x, y)

    images = in_batches(made, batch_size, x, wanted)
    reached = predicted(model, images, batch_size) == wanted
    judged = None if judge is None else _judged(judge, images, batch_size)
    if judged is not None:
        judged = judged == wanted
    return Generated(images, reached, judged)


@on_network
def _judged(judge: Model, images: np.ndarray, batch_size: int) -> np.ndarray:
    """The classes that an independent network gives."""
    return predicted(judge, images, batch_size)
