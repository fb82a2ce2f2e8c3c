"""The notebooks run from top to bottom, and hold no outputs."""

import json
import pathlib

import pytest

pytestmark = [pytest.mark.keras_free, pytest.mark.one_keras]

ROOM = pathlib.Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(path.name for path in ROOM.glob("*.ipynb"))


def test_there_are_notebooks():
    assert len(NOTEBOOKS) == 3


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_outputs_are_kept(name):
    cells = json.loads((ROOM / name).read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    for cell in code:
        assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.mark.parametrize("name", NOTEBOOKS)
@pytest.mark.filterwarnings("ignore")  # Those of Jupyter are not ours.
def test_a_notebook_runs(name, tmp_path):
    missing = "needs the extra notebooks: pip install '.[notebooks]'"
    nbclient = pytest.importorskip("nbclient", reason=missing)
    nbformat = pytest.importorskip("nbformat", reason=missing)
    pytest.importorskip("ipykernel", reason=missing)
    notebook = nbformat.read(ROOM / name, as_version=4)
    nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
