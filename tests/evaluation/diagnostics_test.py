import numpy as np
import pytest

import tfrobust as tfr
from tfrobust.evaluation import Row, diagnostics

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


def test_sound_rows_leave_only_a_note_on_their_number():
    checks = {check.name: check for check in diagnostics.of_rows(rows())}
    assert failed(rows()) == {"enough_examples"}
    assert checks["enough_examples"].state == "note"
    assert checks["ordered"].state == "ok"
    many = np.ones(1000)
    assert failed(rows(many, many, many)) == set()


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
    assert failed(found) == {name, "enough_examples"}
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
