import json

import pytest

pytestmark = pytest.mark.one_keras

SCRIPT = "serve.py"


def test_a_folder_is_written_and_how_to_serve_it_printed(script, tmp_path):
    options = ["--epochs=4", "--limit=20", "--epsilon=0.001"]
    options += [f"--output_dir={tmp_path / 'digits'}"]
    code, output = script(SCRIPT, *options)
    assert code == 0, output
    base = tmp_path / "digits"
    written = {path.name for path in base.iterdir()}
    files = {"models.config", "batching.config", "request.json"}
    assert written == {"1", *files}
    request = json.loads((base / "request.json").read_text())
    assert request["signature_name"] == "predict_or_abstain"
    assert f"--model_config_file={base}/models.config" in output
    assert "models/digits:predict" in output
    found = json.loads((base / "1" / "robustness_card.json").read_text())
    assert found["artefact"]["examples"] == 20


def test_a_missing_model_is_named(script, tmp_path):
    code, output = script(SCRIPT, f"--model={tmp_path / 'none.keras'}")
    assert code == 1
    assert "there is nothing at" in output
