"""Rows of text as columns of a fixed-width font: a terminal, or a code block on Discord."""

from collections.abc import Collection, Sequence
from unicodedata import east_asian_width

_GAP = "  "


def width(text: str) -> int:
    """Columns that `text` takes on the screen: Hangul takes two a letter."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """`rows` as lines, each column as wide as its widest cell.

    The columns whose numbers are in `right` end in line, the others begin in line.
    """
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for number, (cell, num_columns) in enumerate(zip(row, widths, strict=True)):
            space = " " * (num_columns - width(cell))
            cells.append(space + cell if number in right else cell + space)
        lines.append(_GAP.join(cells).rstrip())
    return "\n".join(lines)
