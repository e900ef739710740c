"""Tables for a terminal of any width. A number is never cut short; words are folded.

A table of figures that is too wide is printed as several, one below the other, each with the names in front.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

WIDTH, WORDS_WIDTH = 150, 160
"""Of tables of figures and of words, where the output is no terminal."""

EDGES, GAP = 2, 3
"""Characters around a table, and between two columns."""

SHORTEST = 6
"""Characters of a line of a name, of which it takes several where it must."""


@dataclass(frozen=True)
class Column:
    """One figure of every row.

    Attributes:
        title: its head.
        cells: one for each row.
    """

    title: str
    cells: tuple[str, ...]

    @property
    def width(self) -> int:
        """Characters of the widest entry."""
        return max(map(len, (self.title, *self.cells)))


def print_columns(first: str, names: Sequence[str], groups: Sequence[Sequence[Column]]) -> None:
    """Prints rows of figures: as one table, or as several where the terminal is too narrow for one.

    Args:
        first: head of the column of names.
        names: one for each row.
        groups: columns that belong together, such as those of one kind of figure.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shared = Console()
    width = shared.width if shared.is_terminal else WIDTH
    columns = [column for group in groups for column in group]
    wanted = max(cell_len(text) for text in (*names, *first.split()))
    if _room(columns, width) >= wanted:
        tables = [columns]
    else:
        widest = max(column.width for column in columns)
        wanted = max(min(wanted, width // 2, width - EDGES - GAP - widest), SHORTEST)
        tables = [table for group in groups for table in _tables(group, width, wanted)]
    for shown in tables:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column(first, overflow="fold", max_width=max(_room(shown, width), SHORTEST))
        for column in shown:
            table.add_column(column.title, justify="right", no_wrap=True, min_width=column.width)
        for k, name in enumerate(names):
            table.add_row(Text(name), *(column.cells[k] for column in shown))
        Console(width=max(width, width - _room(shown, width) + SHORTEST)).print(table)


def print_words(
    titles: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None, right: bool = False
) -> None:
    """Prints a table whose cells are folded where the terminal is too narrow.

    Args:
        titles: heads of the columns.
        rows: as many cells each.
        title: of the table.
        right: align the columns on the right, all but that of the tests.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for head in titles:
        table.add_column(head, justify="right" if right and head != "test" else "left", overflow="fold")
    for cells in rows:
        table.add_row(*map(Text, cells))
    shared = Console()
    Console(width=shared.width if shared.is_terminal else WORDS_WIDTH).print(table)


def _room(columns: Sequence[Column], width: int) -> int:
    """Characters that some columns leave for the names."""
    return width - EDGES - sum(GAP + column.width for column in columns)


def _tables(columns: Sequence[Column], width: int, wanted: int) -> Iterator[list[Column]]:
    """The columns in as few tables as they fit into beside names of the wanted width."""
    table: list[Column] = []
    for column in columns:
        if table and _room([*table, column], width) < wanted:
            yield table
            table = []
        table.append(column)
    if table:
        yield table
