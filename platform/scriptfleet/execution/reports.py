"""What a script says back: lines of JSON in a file of its run, read as it grows, believed within bounds.

The file and all it names are the script's: nothing in it is trusted, and what is refused is counted and named by its
line's number, never by its content.
"""

import errno
import os
import stat
import threading
from pathlib import Path
from typing import Any, Final, NamedTuple

from scriptfleet.domain import check
from scriptfleet.domain.masking import mask_text
from scriptfleet.errors import InvalidValue

#: Names the file in the environment of a run.
VARIABLE: Final = "SCRIPTFLEET_REPORT_FILE"

MOST_NAMES: Final = 1_000
MOST_ARTIFACTS: Final = 100
_LONGEST_NAME: Final = 128
_LONGEST_MESSAGE: Final = 500
_LONGEST_LINE: Final = 16 * 1024
#: Read at one look while the script runs, and at the last one; what was written faster is passed over but for its end.
_MOST_AT_ONCE: Final = 1024 * 1024
_MOST_AT_END: Final = 16 * 1024 * 1024
_MOST_FAULTS_NAMED: Final = 10
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: Beside this module; holds scriptfleet_report.py alone.
_ON_PATH: Final = str(Path(__file__).with_name("on_path"))


class Progress(NamedTuple):
    """How far a script says it is."""

    #: From 0 to 1.
    fraction: float
    message: str | None = None


class Said:
    """All that a script has said so far."""

    def __init__(self) -> None:
        #: Of one name the last value.
        self.metrics: dict[str, float] = {}
        self.progress: Progress | None = None
        #: Path of each artifact by its name.
        self.artifacts: dict[str, str] = {}
        #: How many lines were refused, and the first of the reasons.
        self.refused = 0
        self.faults: list[str] = []

    def is_nothing(self) -> bool:
        """Tell whether there is nothing to record."""
        return not (self.metrics or self.artifacts or self.refused)

    def refuse(self, fault: str) -> None:
        """Count a fault, and name it when it is one of the first."""
        self.refused += 1
        if len(self.faults) < _MOST_FAULTS_NAMED:
            self.faults.append(fault)

    def take(self, number: int, line: bytes) -> None:
        """Take one line."""
        # Most scripts say nothing.
        import json  # noqa: PLC0415

        try:
            self._take(json.loads(line))
        except InvalidValue as fault:
            self.refuse(f"line {number}: {fault.field}: expected {fault.expected}")
        except (ValueError, RecursionError):
            self.refuse(f"line {number}: expected JSON")

    def _take(self, said: object) -> None:
        given = check.mapping("report", said)
        for kind, content in given.items():
            if kind not in _TAKERS:
                raise InvalidValue("report", kind, f"one of {', '.join(_TAKERS)}")
            _TAKERS[kind](self, check.mapping(kind, content))


def _take_metric(said: Said, content: dict[str, Any]) -> None:
    name = _name("metric.name", content.get("name"))
    value = check.number("metric.value", content.get("value"), least=-_GREATEST, most=_GREATEST)
    if name not in said.metrics and len(said.metrics) >= MOST_NAMES:
        raise InvalidValue("metric.name", name, f"at most {MOST_NAMES} names")
    said.metrics[name] = value


def _take_progress(said: Said, content: dict[str, Any]) -> None:
    fraction = check.number("progress.fraction", content.get("fraction"), most=1.0)
    message = content.get("message")
    if message is not None:
        message = check.text("progress.message", message, 1 << 20, may_be_empty=True)[:_LONGEST_MESSAGE]
    said.progress = Progress(fraction, message)


def _take_artifact(said: Said, content: dict[str, Any]) -> None:
    path = check.text("artifact.path", content.get("path"))
    name = _name("artifact.name", content.get("name", os.path.basename(path)))
    if name not in said.artifacts and len(said.artifacts) >= MOST_ARTIFACTS:
        raise InvalidValue("artifact", name, f"at most {MOST_ARTIFACTS} artifacts")
    said.artifacts[name] = path


def _name(field_name: str, value: object) -> str:
    name = check.text(field_name, value, _LONGEST_NAME)
    if not name.isprintable():
        raise InvalidValue(field_name, name, "printable text")
    return name


_GREATEST: Final = 1.7976931348623157e308
_TAKERS: Final = {"metric": _take_metric, "progress": _take_progress, "artifact": _take_artifact}


class Reports:
    """Reads one run's report file from where it was last left; safe from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._said = Said()
        self._offset = self._lines = 0
        #: The beginning of a line whose end was not there yet.
        self._begun = b""
        self._is_skipping = self._is_broken = False
        self._hidden: tuple[bytes, ...] = ()

    def hide(self, hidden: tuple[bytes, ...]) -> None:
        """Have these forms of secrets masked in messages of progress, which are shown while the script runs."""
        self._hidden = hidden

    @property
    def hidden(self) -> tuple[bytes, ...]:
        """The forms of secrets that are masked."""
        return self._hidden

    def environment(self, env: dict[str, str]) -> dict[str, str]:
        """Give what a run's environment needs beside ``env`` so that its script can report."""
        path = env.get("PYTHONPATH")
        return {VARIABLE: str(self.path), "PYTHONPATH": f"{path}{os.pathsep}{_ON_PATH}" if path else _ON_PATH}

    def look(self) -> Progress | None:
        """Read what is new and give the progress as it stands."""
        with self._lock:
            self._read(_MOST_AT_ONCE)
            found = self._said.progress
            if found is None or found.message is None or not self._hidden:
                return found
            return found._replace(message=mask_text(found.message, self._hidden))

    def finish(self) -> Said:
        """Read the rest, also a last line without its newline, and give all that was said."""
        with self._lock:
            self._read(_MOST_AT_END)
            if self._begun:
                self._take_lines(b"\n")
            return self._said

    def _read(self, most_bytes: int) -> None:
        if self._is_broken:
            return
        try:
            self._read_on(most_bytes)
        except FileNotFoundError:
            # Nothing was said yet.
            return
        except OSError as fault:
            self._is_broken = True
            self._said.refuse(f"report file: {fault.strerror}")

    def _read_on(self, most_bytes: int) -> None:
        fd = os.open(self.path, _OPEN)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "expected a plain file")
            self._seek(found.st_size, most_bytes)
            os.lseek(fd, self._offset, os.SEEK_SET)
            while most_bytes > 0 and (piece := os.read(fd, min(most_bytes, _MOST_AT_ONCE))):
                most_bytes -= len(piece)
                self._offset += len(piece)
                self._take_lines(piece)
        finally:
            os.close(fd)

    def _seek(self, size: int, most_bytes: int) -> None:
        """Pass over what is too much, and what was there before the script emptied its file."""
        if size < self._offset:
            self._offset, self._begun = 0, b""
        skipped = size - self._offset - most_bytes
        if skipped > 0:
            self._said.refuse(f"after line {self._lines}: {skipped:,} bytes passed over, written faster than is read")
            self._offset += skipped
            self._begun, self._is_skipping = b"", True

    def _take_lines(self, piece: bytes) -> None:
        *lines, rest = piece.split(b"\n")
        for line in lines:
            self._lines += 1
            whole, self._begun = self._begun + line, b""
            if self._is_skipping:
                self._is_skipping = False
            elif len(whole) > _LONGEST_LINE:
                self._said.refuse(f"line {self._lines}: expected at most {_LONGEST_LINE:,} bytes")
            elif whole.strip():
                self._said.take(self._lines, whole)
        # Of a line that is too long no more is kept than shows that it is.
        self._begun = (self._begun + rest)[: _LONGEST_LINE + 1]
