"""What every peer's task does: call a program, then leave a line that tells when. It costs some microseconds."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Names the file of marks, and the broker's address, in a peer's environment.
MARKS_VARIABLE, BROKER_VARIABLE = "BENCHMARKS_MARKS", "BENCHMARKS_BROKER"


def run(argv: Sequence[str]) -> None:
    """Call the program and wait for its end."""
    subprocess.run(argv, check=True)
    mark(time.time_ns())


def mark(number: int) -> None:
    """Leave one line."""
    out = os.open(os.environ[MARKS_VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(out, f"{number}\n".encode())
    os.close(out)


@dataclass(frozen=True, slots=True)
class Marks:
    """The lines that one worker's tasks leave."""

    path: Path

    def done(self) -> list[int]:
        """Give the number on each line."""
        return [int(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def clear(self) -> None:
        """Forget them."""
        self.path.unlink(missing_ok=True)

    def environment(self, broker: str) -> Mapping[str, str]:
        """Give what a worker is started with."""
        return {**os.environ, MARKS_VARIABLE: str(self.path), BROKER_VARIABLE: broker}
