import json

import pytest

pytestmark = pytest.mark.one_keras

SCRIPT = "certify.py"


def test_a_network_is_trained_certified_and_reported(script, tmp_path):
    report = tmp_path / "report"
    options = ("--limit=12", "--timeout=0.5", f"--report={report}")
    code, output = script(SCRIPT, *options)
    assert code == 0, output
    stored = json.loads((report / "report.json").read_text())
    verdicts = stored["certificates"]["verdict"]
    assert len(verdicts) == 12
    assert set(verdicts) <= {"certified", "falsified", "unknown"}
    # Trained for a certificate, most of them have one.
    assert verdicts.count("certified") >= 6
    assert "| worst case (certified accuracy) |" in output


def test_a_missing_model_is_named(script, tmp_path):
    code, output = script(SCRIPT, f"--model={tmp_path / 'none.keras'}")
    assert code == 1
    assert "there is nothing at" in output
