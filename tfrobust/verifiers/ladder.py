"""Verifiers from cheap to tight."""

from tfrobust.threats import Threat
from tfrobust.verifier import Verifier
from tfrobust.verifiers.alpha_crown import AlphaCROWN
from tfrobust.verifiers.branch_and_bound import BranchAndBound
from tfrobust.verifiers.crown import CROWN
from tfrobust.verifiers.crown_ibp import CROWNIBP
from tfrobust.verifiers.ibp import IBP


def ladder(threat: Threat, timeout: float = 10.0) -> list[Verifier]:
    """Returns verifiers of one threat, from cheap to tight, for `certify`.

    They are IBP, CROWN-IBP, CROWN, alpha-CROWN and branch and bound. Lines of
    intermediate bounds aren't optimised: what that decides on small networks,
    branch and bound decides sooner. On deep ones put `AlphaCROWN(threat)` last.

    Args:
        threat: The `Threat` to bound over.
        timeout: Seconds that branch and bound may take for each example that
            the others leave open; 0 leaves it out.

    Example:
        `print([*ladder(linf, timeout=30.0)])`
    """
    last = [BranchAndBound(threat, timeout=timeout)] if timeout else []
    return [
        IBP(threat),
        CROWNIBP(threat),
        CROWN(threat),
        AlphaCROWN(threat, intermediate=False),
        *last,
    ]
