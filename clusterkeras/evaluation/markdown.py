"""The one writer of Markdown tables.

Written here in two lines since no library that comes along does it, and `tabulate`
would pad every cell: a changed number would change all lines of a table under version
control.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table of cells that are text already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
