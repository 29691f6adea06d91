"""Shows a job's output as it comes: each stream to its own, as it is to files, made safe for terminals."""

import sys
from collections.abc import Iterable
from typing import TextIO

from scriptfleet.domain.terminal_text import TerminalFilter

_COLOUR_OFF = "\x1b[0m"


def show(pieces: Iterable[tuple[str, str]]) -> None:
    """Write (stream, text) pieces to stdout and stderr."""
    screens = {"stdout": Screen(sys.stdout), "stderr": Screen(sys.stderr)}
    try:
        for stream, text in pieces:
            screens[stream].write(text)
    finally:
        for screen in screens.values():
            screen.end()


class Screen:
    """One of this process's output streams."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._filter = TerminalFilter() if stream.isatty() else None

    def write(self, text: str) -> None:
        """Show a piece of text at once."""
        self._stream.write(self._filter.clean(text) if self._filter else text)
        self._stream.flush()

    def end(self) -> None:
        """Leave the terminal in its own colours."""
        if self._filter is not None and self._filter.has_colour:
            self._stream.write(_COLOUR_OFF)
            self._stream.flush()
