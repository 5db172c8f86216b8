"""The notebooks run, and print what they show; what they show holds no trace of a machine."""

import json

import pytest

from tests.documentation.documents import ROOT, environment, skeleton

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def printed(cells):
    """Return what each cell of code printed, without its figures."""
    found = []
    for cell in cells:
        if cell["cell_type"] == "code":
            said = ["".join(out["text"]) for out in cell["outputs"] if out.get("name") == "stdout"]
            found.append(skeleton("".join(said)))
    return found


def test_there_are_three():
    assert len(NOTEBOOKS) == 3


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_prints_what_it_shows(path, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    shown = json.loads(path.read_text(encoding="utf-8"))["cells"]
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert printed(notebook.cells) == printed(shown)
    assert any(printed(shown))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_shows_no_errors_and_no_machine(path):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", ()):
            assert output["output_type"] == "stream", output["output_type"]
            assert output["name"] == "stdout", output["name"]
