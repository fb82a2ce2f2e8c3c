"""Signs that an attack was too weak to be believed.

The checks follow Carlini et al., 2019, arXiv 1902.06705, section 3.1. They
fail closed: whatever looks suspicious makes the report unreliable.
"""

import itertools
from typing import NamedTuple

import numpy as np

from tfrobust.attacks import FGSM, PGD, SpatialAttack, Transfer

POINT = 0.01  # One percentage point of accuracy.
TOO_WEAK = 0.1  # What attacks may miss at most for their report to count.
SQUARE = 0.002  # Largest share that only attacks without gradients fool.


class Check(NamedTuple):
    """One diagnostic.

    Attributes:
        name: Name of the check.
        passed: Whether nothing suspicious was seen.
        detail: What was measured, and what to do if it failed.
        critical: Whether failing makes the report unreliable.
        overstated: By how much accuracies are known to be too high, since
            attacks were weak; the detail recommends a stronger one.
        examples: On how many examples it looked, the first ones; None if
            that isn't known.
    """

    name: str
    passed: bool
    detail: str
    critical: bool = True
    overstated: float = 0.0
    examples: int | None = None

    @property
    def state(self) -> str:
        """ "ok" or "FAILED"; "weak" or "note" if that is not critical."""
        if self.passed or self.critical:
            return "ok" if self.passed else "FAILED"
        return "weak" if self.overstated else "note"


def of_first(checks, count):
    """The checks, which looked at so many examples, the first ones."""
    return [check._replace(examples=count) for check in checks]


NOT_RUN = Check(
    "diagnostics",
    False,
    "The diagnostics did not run: pass diagnostic_examples=256.",
)


NO_GRADIENT = Check(
    "gradient",
    False,
    "No gradient reaches the model's input, so next to nothing can be checked. "
    "Add attacks found on a surrogate that has gradients: "
    "tfr.attacks.Transfer(tfr.attacks.PGD(threat), surrogate=surrogate).",
)


def no_ball(adversaries):
    """No adversary searches a ball, in which gradients can be examined."""
    return Check(
        "diagnostics",
        False,
        "No attack searches a norm ball, so what masks gradients stays unseen: "
        "add one, such as tfr.attacks.PGD(tfr.threats.Linf(8 / 255)).",
        # Trying transformations takes no gradients.
        critical=not all(isinstance(a, SpatialAttack) for a in adversaries),
    )


def noted(name, sentence):
    """What an adversary had to do otherwise than its name says."""
    return Check(name, False, sentence, critical=False)


def worst_case(rows):
    """Which examples withstand every attack, and have a proof if any tried."""
    standing = np.all([row.correct for row in rows if not row.proven], axis=0)
    proofs = [row.correct for row in rows if row.proven]
    return standing & np.any(proofs, axis=0) if proofs else standing


def of_rows(rows):
    """Checks of the main run: rows for clean, adversaries, worst case."""
    clean, *attacked, worst = rows
    standing = worst_case([row for row in rows[:-1] if not row.proven])
    outside = [row.name for row in rows if not row.inside]
    beaten = [
        row.name
        for row in attacked
        if np.any(row.correct & ~clean.correct)
        or np.any(worst.correct & ~row.correct & (not row.proven))
        # A proof of what an attack refuted: one of both is wrong.
        or np.any(row.correct & ~standing & row.proven)
    ]
    return [
        Check(
            "in_threat",
            not outside,
            "Every point was confirmed to lie in its threat."
            if not outside
            else f"Points of {outside} lie outside their threat.",
        ),
        _finite(rows),
        Check(
            "ordered",
            not beaten,
            "Example by example, certified <= attacked <= clean."
            if not beaten
            else f"What {beaten} call right, another refutes.",
        ),
        *_of_square(rows),
    ]


def _finite(rows):
    infinite = [row.name for row in rows if not row.finite]
    return Check(
        "finite",
        not infinite,
        "All logits are finite."
        if not infinite
        else f"Logits or margins under {infinite} hold NaN or infinity, which "
        "proves nothing.",
    )


def _of_square(rows):
    """Checks what only Square and the like fool, if gradients came before."""
    clean = rows[0].correct
    standing, left, mixed = clean, clean, set()
    for row, after in itertools.pairwise(rows):
        ensemble = row.ensemble
        if row.gradient_free:
            # The components after it don't see what it fooled.
            mixed.add(ensemble or row.name)
            last = after.ensemble != ensemble or not after.backwards
            if last or ensemble is None:
                left = left & row.correct
        elif row.backwards and (ensemble or row.name) not in mixed:
            standing = standing & row.correct
    if standing is clean or left is clean:
        return []
    share = float(np.mean(standing & ~left))
    return [
        Check(
            "square",
            share <= SQUARE,
            f"What takes no gradient fools {share:.2%} that no gradient did. "
            f"Above {SQUARE:.1%} the gradients are masked, or the attacks too "
            "weak: give them more steps, or adapt one to the model.",
        )
    ]


def of_curves(curves, adversaries):
    """Checks that accuracy falls as epsilon grows, curve by curve."""
    return [
        Check(
            f"monotone_{name}",
            bool(np.all(np.diff(curve["accuracy"]) <= POINT)),
            "Accuracy must not rise with epsilon: "
            + ", ".join(f"{a:.1%}" for a in curve["accuracy"]),
            # One long step may overshoot, which says nothing about the others.
            critical=not isinstance(adversaries[name], FGSM),
        )
        for name, curve in curves.items()
    ]


def of_certificates(rows, inside, contradicted):
    """Checks of a certification.

    Args:
        rows: Those of the clean inputs, the attack and the verifiers.
        inside: Whether each point of the attack lies in the threat.
        contradicted: How many certified examples the attack fooled.
    """
    outside = int(np.sum(~inside))
    return [
        Check(
            "in_threat",
            not outside,
            f"{outside} points of the attack lie outside of the threat.",
        ),
        _finite(rows),
        Check(
            "ordered",
            not contradicted,
            "Example by example, certified <= attacked <= clean."
            if not contradicted
            else f"{contradicted} certificates are contradicted by an attack: "
            "a defect of the verifier, trust none of them and report it.",
        ),
    ]


def strongest(attacks):
    """The PGD of most steps, or one on the first threat."""
    inner = [a.attack if isinstance(a, Transfer) else a for a in attacks]
    found = [a for a in inner if isinstance(a, PGD)]
    if found:
        return max(found, key=lambda attack: attack.steps * attack.restarts)
    return PGD(attacks[0].threat, steps=20, step_size=0.1)
