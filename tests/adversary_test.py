import pytest

import tfrobust as tfr
from tfrobust.adversary import named

pytestmark = pytest.mark.keras_free

LINF = tfr.threats.Linf(0.1)
PGD, FGSM = tfr.attacks.PGD(LINF), tfr.attacks.FGSM(LINF)
CROWN = tfr.verifiers.CROWN(LINF)


@pytest.mark.parametrize(
    "given, expected",
    [
        ({"mine": PGD}, {"mine": PGD}),
        (PGD, {"pgd": PGD}),
        ([PGD, FGSM], {"pgd": PGD, "fgsm": FGSM}),
        ((PGD, CROWN, PGD), {"pgd": PGD, "crown": CROWN, "pgd-2": PGD}),
        ([], {}),
    ],
)
def test_adversaries_without_names_are_named_by_their_kind(given, expected):
    assert named(given) == expected


def test_what_holds_no_adversaries_is_refused():
    for given in (LINF, None, "pgd"):
        with pytest.raises(TypeError, match="must be a dictionary by name"):
            named(given)
