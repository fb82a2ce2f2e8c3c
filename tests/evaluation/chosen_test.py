"""What evaluations choose from an epsilon, and say."""

import pytest

import tfrobust as tfr

pytestmark = pytest.mark.keras_free


def test_evaluate_chooses_autoattack(model, data, capsys):
    report = tfr.evaluate(model, data, epsilon=0.1, diagnostic_examples=0)
    assert "linf in [0, 1], AutoAttack" in capsys.readouterr().out
    assert [row.name for row in report.rows][:2] == [
        "clean",
        "autoattack: apgd-ce",
    ]
    assert report["autoattack"].norm == "linf"
    assert report["worst case"].accuracy == 26 / 40


def test_certify_chooses_the_ladder(model, data, capsys):
    x, y = data
    report = tfr.certify(model, (x[:12], y[:12]), epsilon=0.05, norm="l2")
    assert "l2 in [0, 1], IBP, CROWNIBP, CROWN" in capsys.readouterr().out
    assert report["crown"].norm == "l2"
    silent = {"epsilon": 0.1, "verbose": 0}
    tfr.certify(model, (x[:2], y[:2]), **silent)
    assert not capsys.readouterr().out


@pytest.mark.parametrize("run", [tfr.evaluate, tfr.certify])
def test_both_or_neither_are_refused(model, data, threat, run):
    one = tfr.verifiers.IBP(threat)
    for options in (
        {},
        {"norm": "l2"},
    ):
        with pytest.raises(TypeError, match="Pass either `epsilon`"):
            run(model, data, **options)
    for options in ({"epsilon": 0.1}, {"norm": "l2"}):
        with pytest.raises(TypeError, match="Received: .* and some"):
            run(model, data, one, **options)
    with pytest.raises(ValueError, match='"linf", "l2" or "l1"'):
        run(model, data, epsilon=0.1, norm="Linf")
    with pytest.raises(TypeError, match="Received: epsilon='0.1'"):
        run(model, data, epsilon="0.1")
