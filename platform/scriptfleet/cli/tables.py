"""Tables on stdout, for people. Colour only on a terminal, and not with NO_COLOR."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from scriptfleet.cli.screen import TABLE_WIDTH
from scriptfleet.config import own_environment
from scriptfleet.domain.terminal_text import clean_line

STATE_STYLES: Final = {
    "succeeded": "green",
    "failed": "red",
    "timed_out": "red",
    "out_of_memory": "red",
    "lost": "red",
    "rejected": "red",
    "running": "cyan",
    "cancelled": "yellow",
    "expired": "yellow",
}
_LEAST_SHRUNK: Final = 6
#: Cells between two columns: a space of padding, and the box's own.
_BETWEEN: Final = 2


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their headings.

    Headings end in ``>`` for columns set right, in ``*`` for those that shrink, in ``**`` for those that do so first.
    """
    for line in table_lines(columns, rows):
        print(line)


def table_lines(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Give the lines that print_table prints."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    lines = [[_cell(value) for value in row] for row in rows]
    console = _console()
    for heading, widest in zip(columns, _bounds(columns, lines, console.width), strict=True):
        name = heading.rstrip(">*")
        # Only a column that may wrap is made narrower; its cells are cut instead.
        may_shrink = heading.endswith("*")
        side: JustifyMethod = "right" if heading.endswith(">") else "left"
        table.add_column(
            name,
            justify=side,
            no_wrap=not may_shrink,
            min_width=_LEAST_SHRUNK if may_shrink else len(name),
            max_width=widest,
        )
    for line in lines:
        table.add_row(*line)
    # Where a terminal is too narrow its lines wrap: a number that lost its last digits would be another number.
    console.width = max(console.width, _least_width(columns, lines))
    with console.capture() as drawn:
        console.print(table)
    return [drawn_line.rstrip() for drawn_line in drawn.get().splitlines()]


def _widths(columns: Sequence[str], lines: Sequence[Sequence[Text]]) -> list[int]:
    widths = [cell_len(heading.rstrip(">*")) for heading in columns]
    for line in lines:
        widths = [max(width, cell.cell_len) for width, cell in zip(widths, line, strict=True)]
    return widths


def _bounds(columns: Sequence[str], lines: Sequence[Sequence[Text]], width: int) -> list[int | None]:
    """Give how wide the columns may be that shrink before others do, the last of them first."""
    widths = _widths(columns, lines)
    over = sum(widths) + _BETWEEN * (len(columns) - 1) - width
    bounds: list[int | None] = [None] * len(columns)
    for at in reversed([at for at, heading in enumerate(columns) if heading.endswith("**")]):
        taken = min(max(0, over), max(0, widths[at] - _LEAST_SHRUNK))
        bounds[at], over = widths[at] - taken, over - taken
    return bounds


def _least_width(columns: Sequence[str], lines: Sequence[Sequence[Text]]) -> int:
    widths = _widths(columns, lines)
    least = [_LEAST_SHRUNK if heading.endswith("*") else width for heading, width in zip(columns, widths, strict=True)]
    return sum(least) + _BETWEEN * (len(columns) - 1)


def _cell(value: str) -> Text:
    plain = clean_line(value)
    return Text(plain, style=STATE_STYLES.get(plain, ""), no_wrap=True, overflow="ellipsis")


def _console() -> Console:
    # Bold counts as colour here: who sets NO_COLOR wants no escape sequence.
    colours: Literal["auto"] | None = None if own_environment().get("NO_COLOR") else "auto"
    console = Console(highlight=False, color_system=colours)
    return console if console.is_terminal else Console(highlight=False, width=TABLE_WIDTH)
