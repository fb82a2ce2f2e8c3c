"""Loss and gradient of each step of an attack."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfrobust import checks, files, tracking
from tfrobust.attack import Attack
from tfrobust.threats.rows import flat
from tfrobust.types import Model, Path, TensorLike


@dataclasses.dataclass(eq=False, repr=False)
class Track:
    """What an attack saw at each of its gradients, in their order.

    Attributes:
        loss: What it ascends (of minimum-norm attacks, what it descends),
            shape `[steps, n]`.
        gradient_norm: Euclidean length of its gradient by the input, likewise.
        point: What the attack answered, of x's shape.
    """

    loss: np.ndarray
    gradient_norm: np.ndarray
    point: np.ndarray

    def save(self, path: Path) -> None:
        """Writes a new .npz file of all attributes, whole or not at all.

        Raises:
            FileExistsError: If there is a file.
            ValueError: If the name doesn't end in .npz.
        """
        files.save_arrays(path, vars(self))

    def __repr__(self) -> str:
        lines = ["step   mean loss   mean gradient norm   no gradient"]
        for step, (loss, norm) in enumerate(
            zip(self.loss, self.gradient_norm, strict=True)
        ):
            none = np.mean(norm == 0)
            lines.append(
                f"{step:4} {loss.mean():11.4g} {norm.mean():20.4g} {none:13.1%}"
            )
        return "\n".join(lines)


def track(attack: Attack, model: Model, x: TensorLike, y: TensorLike) -> Track:
    """Runs an attack, and keeps the loss and the gradient of each step.

    It tells whether a loss still rises at the last step, or whether gradients
    vanish. The attack runs eagerly, so take few examples; one that may stop
    early doesn't.

    Args:
        attack: An `Attack` that steps along gradients, with all examples at
            once: `PGD`, `APGD`, `FGSM`, `CarliniWagner`, `EAD` ...
        model: Any callable `model(x, training=False) -> logits`.
        x: Inputs in the threat's valid range, shape `[n, ...]`.
        y: Labels, shape `[n]`.

    Returns:
        A `Track`: print it, or `save` it.

    Raises:
        ValueError: If the attack takes no gradient by `input_gradient`, or
            not of all examples at each step.

    Example:
        ```
        found = tfr.attacks.track(pgd, model, x_test[:8], y_test[:8])
        print(found)
        print(found.gradient_norm.min())
        ```
    """
    checks.kind(attack, Attack, "attack", "tfr.attacks.PGD(threat)")
    if getattr(attack, "early_stop", False):
        attack = attack.replace(early_stop=False)
    with tracking.steps() as noted:
        point = attack.perturb(model, x, y)
    sizes = {len(losses) for losses, _ in noted}
    if sizes != {len(point)}:
        raise ValueError(
            "`attack` must take a gradient of all examples at each step, to "
            f"be tracked. Received: {attack!r}, which "
            + ("takes none." if not noted else "goes on with some of them.")
        )
    return Track(
        loss=np.stack([losses.numpy() for losses, _ in noted]),
        gradient_norm=np.stack(
            [tf.norm(flat(gradient), axis=1).numpy() for _, gradient in noted]
        ),
        point=point.numpy(),
    )
