"""AutoAttack."""

from collections.abc import Sequence
from typing import Any

from tfrobust import checks
from tfrobust.attack import Attack
from tfrobust.attacks.apgd import APGD
from tfrobust.attacks.ensemble import Ensemble
from tfrobust.attacks.fab import FAB
from tfrobust.attacks.square import Square
from tfrobust.backend import register
from tfrobust.threats import Threat

_TARGETS = 9
# The targeted DLR loss needs 4 classes. The plain one would do with 3, but
# whoever runs AutoAttack on so few runs neither.
_ENOUGH = 4


@register
class AutoAttack(Attack):
    """The standard ensemble of attacks, without any parameter to tune.

    Each attack runs on what none before it has fooled:

    | version | attacks |
    |---|---|
    | standard | apgd-ce, apgd-t, fab-t, square |
    | standard, l1 | apgd-ce (5 runs), apgd-t (5 targets), fab-t, square |
    | plus | apgd-ce, apgd-dlr and fab (5 runs each), square, apgd-t, fab-t |
    | rand | apgd-ce and apgd-dlr, on the mean of several forward passes |
    | custom | those of `attacks`, as in standard, or else as in plus |

    APGD and FAB take 100 steps in a run, and aim at 9 targets if at any;
    Square asks 5000 times. A model with fewer than 10 classes has fewer
    targets. With fewer than 4 classes, `"apgd-margin"`, which ascends the
    margin loss, replaces the attacks on the DLR loss. `notes` says so.

    Under l2 its Square is that of the paper, so that results compare with those
    of others; `Square` by itself is stronger on images at the edge of the
    range. An ensemble of other attacks, or of other budgets, is an `Ensemble`.

    Args:
        threat: The set to search, a `Threat`.
        version: `"standard"`, `"plus"`, `"rand"` for models that are random
            themselves, or `"custom"`.
        attacks: Names of the attacks of `"custom"`, in their order.
        averages: Number of forward passes that `"rand"` takes the mean of.
        seed: Integer that keys the random numbers.

    Call arguments:
        x: Inputs in `[threat.low, threat.high]`, shape `[batch, ...]`, float32.
        y: Integer labels, shape `[batch]`.

    Raises:
        ValueError: If the version or an attack is unknown, `averages` isn't
            positive, or no gradient reaches the model's input.

    Example:
        `tfr.attacks.AutoAttack(tfr.threats.Linf(8 / 255))`

    Reference: Croce and Hein, 2020, arXiv 2003.01690, section 6; l1: Croce
    and Hein, 2021, arXiv 2103.01208, section 5.
    """

    def __init__(
        self,
        threat: Threat,
        version: str = "standard",
        attacks: Sequence[str] = (),
        averages: int = 20,
        seed: int = 0,
    ):
        checks.kind(threat, Threat, "threat", "tfr.threats.Linf(8 / 255)")
        checks.argument(
            version in ("standard", "plus", "rand", "custom"),
            "version",
            'be "standard", "plus", "rand" or "custom"',
            version,
        )
        checks.argument(
            bool(attacks) == (version == "custom"),
            "attacks",
            'name some attacks if version="custom", and none otherwise',
            attacks,
        )
        checks.count(averages, "averages")
        self.threat, self.version, self.attacks = threat, version, attacks
        self.averages, self.seed = averages, seed
        self.components(classes=10)  # They check the rest.

    def components(self, classes: int) -> dict[str, Attack]:
        """Returns the attacks by name, for a model of so many classes."""
        parts = {
            "standard": self._standard,
            "plus": self._plus,
            "rand": self._rand,
            "custom": self._custom,
        }[self.version](classes)
        # Their random starts shall differ.
        return {
            name: part._replace(seed=self.seed + number)
            for number, (name, part) in enumerate(parts.items())
        }

    def notes(self, classes: int) -> list[str]:
        """Returns sentences on what `components` changed or left out."""
        usual, parts = self.components(_TARGETS + 1), self.components(classes)
        dropped = [f'"{name}"' for name in usual if name not in parts]
        sentences = []
        if dropped:
            sentences.append(
                f'With fewer than {_ENOUGH} classes "apgd-margin", which '
                "ascends the margin loss, replaces the DLR loss of "
                f"{' and '.join(dropped)}."
            )
        for name in parts:
            targets = getattr(usual.get(name), "targets", 0)
            if targets > classes - 1:
                sentences.append(
                    f'Number of targets of "{name}" with {classes} classes: '
                    f"{classes - 1} instead of {targets}."
                )
        return sentences

    def _perturb(self, model, x, y, start, step):
        classes = self.logits(model, x, y).shape[-1]
        averages = self.averages if self.version == "rand" else 1
        ensemble = Ensemble(self.components(classes), averages)
        return ensemble._perturb(model, x, y, start, step)

    def _standard(self, classes):
        sparse = self.threat.is_sparse
        return {
            "apgd-ce": APGD(self.threat, restarts=5 if sparse else 1),
            **self._targeted(classes, 5 if sparse else _TARGETS),
            "fab-t": FAB(self.threat, targets=min(_TARGETS, classes - 1)),
            "square": self._square(),
        }

    def _plus(self, classes):
        parts = {
            "apgd-ce": APGD(self.threat, restarts=5),
            **self._ratio(classes, restarts=5),
            "fab": FAB(self.threat, restarts=5),
            "square": self._square(),
        }
        if classes >= _ENOUGH:
            parts |= self._targeted(classes, _TARGETS)
        fab = FAB(self.threat, targets=min(_TARGETS, classes - 1))
        return parts | {"fab-t": fab}

    def _rand(self, classes):
        options: dict[str, Any] = {"averages": self.averages}
        return {
            "apgd-ce": APGD(self.threat, **options),
            **self._ratio(classes, **options),
        }

    def _custom(self, classes):
        parts = {**self._plus(classes), **self._standard(classes)}
        chosen = {}
        for name in self.attacks:
            # Unknown names don't get past the constructor, which asks for 10.
            known = name if name in parts else "apgd-margin"
            checks.argument(
                known in parts, "attacks", f"be among {[*parts]}", name
            )
            chosen[known] = parts[known]
        return chosen

    def _square(self):
        """The paper's; its l1 takes a share for every channel."""
        overdraw = 2.0 if self.threat.is_sparse else 1.0
        return Square(self.threat, overdraw=overdraw)

    def _targeted(self, classes, targets):
        """APGD on the targeted DLR loss, or what replaces it."""
        count = min(targets, classes - 1)
        if classes < _ENOUGH:
            return self._margin(restarts=count)
        return {"apgd-t": APGD(self.threat, targets=count)}

    def _ratio(self, classes, **options):
        """APGD on the DLR loss, or what replaces it."""
        if classes < _ENOUGH:
            return self._margin(**options)
        return {"apgd-dlr": APGD(self.threat, loss="dlr", **options)}

    def _margin(self, **options):
        return {"apgd-margin": APGD(self.threat, loss="margin", **options)}
