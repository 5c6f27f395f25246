"""The notebook in the documentation runs as it stands."""

import ast
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "docs/start/first_catalogue.ipynb"


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_every_cell_was_run_in_order_and_none_failed(notebook):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert sum("image/png" in o.get("data", {}) for o in outputs) == 2


@pytest.mark.slow
def test_it_runs_and_finds_as_many_candidates(notebook, tmp_path):
    kept = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    resources = {"metadata": {"path": tmp_path}}
    NotebookClient(notebook, timeout=900, resources=resources).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    candidates = next(i for i, cell in enumerate(cells) if "ck.detect" in cell.source)
    expected, found = (
        ast.literal_eval(outputs[-1]["data"]["text/plain"])[0]
        for outputs in (kept[candidates], cells[candidates].outputs)
    )
    assert found == pytest.approx(expected, rel=0.01)
    assert (tmp_path / "report.html").stat().st_size > 1_000_000
