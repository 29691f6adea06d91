"""What an executor decides: where the script lies and what is started."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from scriptfleet.errors import EngineFailed


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run's files are."""

    #: The script itself, where the kind has one as a file.
    script: Path | None
    #: For files of the run that the script should not stumble over.
    folder: Path


@dataclass(frozen=True, slots=True)
class Program:
    """What is started."""

    #: The program's absolute path, then its arguments.
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    #: Version of the interpreter, where the kind has one that is known.
    python_version: str | None = None
    #: JSON that the program writes as its result, or None.
    result: Path | None = None


def find_program(name: str) -> str:
    """Give the absolute path of an installed program. Raises EngineFailed."""
    found = shutil.which(name)
    if found is None:
        raise EngineFailed(f"{name} is not installed on this machine")
    return found
