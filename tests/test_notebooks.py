"""The notebooks in the documentation run as they stand."""

import ast
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs/notebooks").glob("*.ipynb"))

#: Pictures in those that have any.
PICTURES = {"first_catalogue": 2, "mass_function": 2, "what_a_posterior_says": 2}


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_was_run_in_order_and_none_failed(path):
    cells = code(nbformat.read(path, as_version=4))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [
        o for o in outputs if o.output_type == "error" or "stderr" in o.values()
    ]
    pictures = sum("image/png" in o.get("data", {}) for o in outputs)
    assert pictures == PICTURES.get(path.stem, 0)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    kept = [cell.outputs for cell in code(notebook)]
    resources = {"metadata": {"path": tmp_path}}
    NotebookClient(notebook, timeout=900, resources=resources).execute()
    if path.stem != "first_catalogue":
        return
    cells = code(notebook)
    candidates = next(i for i, cell in enumerate(cells) if "ck.detect" in cell.source)
    expected, found = (
        ast.literal_eval(outputs[-1]["data"]["text/plain"])[0]
        for outputs in (kept[candidates], cells[candidates].outputs)
    )
    assert found == pytest.approx(expected, rel=0.01)
    assert (tmp_path / "report.html").stat().st_size > 1_000_000
