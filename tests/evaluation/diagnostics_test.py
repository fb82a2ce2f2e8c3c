import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.evaluation import Row, diagnostics

pytestmark = pytest.mark.keras_free

LINF = tfr.threats.Linf(0.1)
FGSM, PGD = tfr.attacks.FGSM(LINF), tfr.attacks.PGD(LINF)


def rows(clean=(1, 1, 0), attacked=(1, 0, 0), worst=(1, 0, 0), **attack):
    names = ("clean", "pgd", "worst case")
    found = [
        Row(name, np.array(correct, bool))
        for name, correct in zip(names, (clean, attacked, worst), strict=True)
    ]
    for name, value in attack.items():
        setattr(found[1], name, value)
    return found


def failed(found):
    return {
        check.name for check in diagnostics.of_rows(found) if not check.passed
    }


def test_sound_rows_leave_nothing_to_say():
    checks = {check.name: check for check in diagnostics.of_rows(rows())}
    assert failed(rows()) == set()
    assert checks["ordered"].state == "ok"


@pytest.mark.parametrize(
    "name, found",
    [
        ("in_threat", rows(inside=False)),
        ("finite", rows(finite=False)),
        ("ordered", rows(attacked=(1, 0, 1))),
        ("ordered", rows(worst=(1, 1, 0))),
    ],
)
def test_rows_that_contradict_themselves_are_caught(name, found):
    assert failed(found) == {name}
    (check,) = (c for c in diagnostics.of_rows(found) if c.name == name)
    assert check.state == "FAILED"


@pytest.mark.parametrize(
    "accuracy, adversary, state",
    [
        ([1.0, 0.5, 0.5, 0.1], PGD, "ok"),
        ([1.0, 0.5, 0.505, 0.1], PGD, "ok"),
        ([1.0, 0.5, 0.52, 0.1], PGD, "FAILED"),
        ([1.0, 0.5, np.nan, 0.1], PGD, "FAILED"),
        # A single step may overshoot.
        ([1.0, 0.5, 0.52, 0.1], FGSM, "note"),
    ],
)
def test_accuracy_must_not_rise_with_epsilon(accuracy, adversary, state):
    curves = {"attack": {"accuracy": accuracy}}
    (check,) = diagnostics.of_curves(curves, {"attack": adversary})
    assert (check.name, check.state) == ("monotone_attack", state)


def test_the_strongest_attack_has_the_most_steps_or_is_made_up():
    more = PGD.replace(steps=6, restarts=2)
    assert diagnostics.strongest([FGSM, PGD, more]) is more
    made = diagnostics.strongest([FGSM])
    assert made.threat is LINF
    assert made.steps == 20


# Gradient attacks leave the first 600 of 1000 examples, Square some of them.
WHITE = 600


def attacked(*parts):
    """Rows of attacks: name, adversary, how many stay right, backwards."""
    found = [Row("clean", np.ones(1000, bool))]
    for name, adversary, right, backwards in parts:
        row = Row(name, np.arange(1000) < right, adversary)
        row.backwards, row.gradient_free = backwards, adversary == "Square()"
        row.ensemble = "aa" if name.startswith("aa: ") else None
        found.append(row)
    return [*found, Row("worst case", found[-1].correct)]


def square(*parts):
    """The state of the check on Square, or None if it wasn't made."""
    states = {c.name: c.state for c in diagnostics.of_rows(attacked(*parts))}
    return states.get("square")


@pytest.mark.parametrize("left, state", [(598, "ok"), (597, "FAILED")])
def test_what_only_square_fools_is_at_most_a_fifth_of_a_point(left, state):
    ensemble = [
        ("aa: apgd-ce", "APGD()", 620, 9),
        ("aa: fab-t", "FAB()", WHITE, 9),
        ("aa: square", "Square()", left, 0),
        ("aa", "AutoAttack()", left, 18),
    ]
    assert square(*ensemble) == state
    alone = [("square", "Square()", left, 0), ("pgd", "PGD()", WHITE, 9)]
    assert square(*alone) == square(*alone[::-1]) == state
    # A stronger attack beside it fools what it found.
    assert square(*ensemble, ("pgd", "PGD()", 500, 9)) == "ok"


def test_square_is_judged_only_beside_attacks_on_the_gradient():
    one = ("aa: square", "Square()", 500, 0)
    assert square(("pgd", "PGD()", WHITE, 9)) is None
    assert square(one) is None
    assert square(("transfer", "Transfer()", WHITE, 0), one) is None
    # An attack that came after it never saw what it fooled.
    after = ("aa: apgd-t", "APGD()", 400, 9), ("aa", "AutoAttack()", 400, 18)
    assert square(("aa: apgd-ce", "APGD()", WHITE, 9), one, *after) is None
