"""The Hessian of the loss by the weights."""

from typing import Any

from tfrobust import checks
from tfrobust.analysis.loss_hessian import LossHessian, check_name
from tfrobust.attack import Attack
from tfrobust.types import Loss, Model

_AT = ("clean", "frozen", "attacked")


def hessian(
    model: Model,
    data: Any,
    loss: Loss | str | None = None,
    attack: Attack | None = None,
    at: str | None = None,
    batch_size: int = 128,
    length: float = 0.01,
) -> LossHessian:
    """The Hessian of the mean loss by all trainable weights.

    Three functions have one, which differ:

    - `at="clean"`: the loss at the data.
    - `at="frozen"`: the loss at the points that the attack finds now, which
      are kept as constants. Not the Hessian of the maximum.
    - `at="attacked"`: the loss at the points that the attack finds anew at
      each weights. Its gradient is that of the loss at those points, by
      Danskin's theorem, and jumps where another point becomes the worst. So a
      product is the difference of two gradients, `length` to both sides: it
      depends on `length`, and is that of a symmetric matrix only where the
      gradient is smooth. The residuals tell.

    The first two are exact. The model runs in inference mode, in float32.
    The cost is counted in products `H v`, each a pass over all data; of
    `"attacked"` each is two passes and two attacks. Penalties that layers add
    aren't part of the loss; behind a layer with a surrogate gradient, such as a
    binary one, it is the derivative of that.

    Args:
        model: A `RobustModel` or a Keras model of logits.
        data: A pair of arrays `(x, y)`, or a batched `tf.data.Dataset` of
            them, which must give the same examples each time.
        loss: A Keras loss on logits, a function `(y, logits) -> [batch]`, the
            name of either; None for cross entropy.
        attack: An `Attack`, for the second and third.
        at: `"clean"`, `"frozen"` or `"attacked"`; None for `"frozen"` with an
            attack and `"clean"` without.
        batch_size: Number of examples in a batch of arrays.
        length: Distance of weights that `"attacked"` moves to either side.

    Returns:
        A `LossHessian`, with `eigenvalues`, `power_iteration`, `trace`,
        `density` and `product`.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If one is out of its range, `at` doesn't fit `attack`, or
            the model has nothing to train or computes in other precision.

    Example:
        pgd = tfr.attacks.PGD(tfr.threats.Linf(8 / 255))
        curvature = tfr.analysis.hessian(model, (x, y), attack=pgd)
        print(curvature.eigenvalues(20).values)

    Reference: Liu et al., 2020, arXiv 2006.08403.
    """
    if at is None:
        at = "clean" if attack is None else "frozen"
    check_name(at, "at", _AT)
    if (at == "clean") != (attack is None):
        raise ValueError(
            '`at` must be "clean" without an attack, and "frozen" or '
            f'"attacked" with one. Received: at={at!r}, attack={attack!r}'
        )
    checks.positive(length, "length")
    return LossHessian(model, data, loss, attack, at, batch_size, length)
