"""How Sphinx makes the site of these pages: `sphinx-build -W docs site`."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import clusterkeras

# commands are asked for their help
os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

project = "ClusterKeras"
author = "The ClusterKeras developers"
version = release = clusterkeras.__version__
copyright = author

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.programoutput",
]
html_theme = "pydata_sphinx_theme"
html_title = "ClusterKeras"
html_theme_options = {
    "navigation_with_keys": False,
    "show_nav_level": 1,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
}
html_show_sourcelink = False
templates_path = ["_templates"]
exclude_patterns = ["**/.ipynb_checkpoints"]

# headings are targets of links, as on any host of Markdown
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "dollarmath"]
# pages are executed by the tests, and show what they gave there
nb_execution_mode = "off"

autosummary_generate = True
autodoc_typehints = "none"
default_role = "py:obj"

#: Pages whose text lies with what it is about, by where it lies.
ELSEWHERE = {
    "data_tools/tables/PROVENANCE.md": "how/tables.md",
    "data_tools/tables/NEBULA.md": "how/nebula.md",
    "saved_models/m83-wfc3-uvis/README.md": "trust/card.md",
    "saved_models/ngc628-wfc3-uvis/README.md": "trust/card_ngc628.md",
    ".github/CODE_OF_CONDUCT.md": "contribute/conduct.md",
    "docs/": "",
}


def _lead_here(*event: object) -> None:
    """Turn links to files outside this folder to the pages that show them."""
    text = event[-1]
    for path, page in ELSEWHERE.items():
        text[0] = re.sub(rf"\]\((?:\.\./)*{re.escape(path)}", f"](/{page}", text[0])


def setup(app: object) -> None:
    """Have every page and all that pages include looked through."""
    # pages of names that are exported no more
    shutil.rmtree(Path(__file__).parent / "reference/names", ignore_errors=True)
    app.connect("source-read", _lead_here)
    app.connect("include-read", _lead_here)
