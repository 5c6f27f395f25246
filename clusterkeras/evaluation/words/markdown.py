"""The one writer of Markdown tables, and of numbers that may be none.

Tables are written here in two lines since no library that comes along does it, and
`tabulate` would pad every cell: a changed number would change all lines of a table
under version control.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table of cells that are text already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def number(value: float | None, how: str) -> str:
    """Write a number; nothing where it is None or NaN."""
    return "" if value is None or math.isnan(value) else format(value, how)
