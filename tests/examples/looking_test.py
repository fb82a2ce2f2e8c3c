import json

import pytest

pytestmark = pytest.mark.one_keras


@pytest.mark.parametrize("name", ["landscape", "interpret"])
def test_a_page_is_written_once_and_not_overwritten(script, tmp_path, name):
    folder = tmp_path / name
    flags = ["--limit=12", "--few=4", f"--output_dir={folder}"]
    code, output = script(f"{name}.py", *flags)
    assert code == 0, output
    assert f"The page is {folder / 'index.html'}" in output
    stored = json.loads((folder / "report.json").read_text())
    assert len(stored["sections"]) == 3
    for values in stored["sections"].values():
        for value in values:
            assert value in output
    code, output = script(f"{name}.py", *flags, "--seed=1")
    assert code == 1 and "holds something else" in output


def test_what_is_no_keras_model_is_refused(script, tmp_path):
    (tmp_path / "saved_model.pb").touch()
    flags = [f"--model={tmp_path}", f"--output_dir={tmp_path / 'page'}"]
    code, output = script("landscape.py", *flags)
    assert code == 1 and "--model must be a .keras file" in output
