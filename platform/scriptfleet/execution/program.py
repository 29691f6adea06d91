"""What an executor decides: where the script lies and what is started."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from scriptfleet.domain.value import value
from scriptfleet.errors import EngineFailed

_ROOT: Final = str(Path(__file__).parents[2])
_OWN: Final = "import sys; sys.path.append(sys.argv[1]); from scriptfleet.execution.executors.{} import main; main()"
#: What fits into one artifact, unless the broker takes less.
ARTIFACT_MAX_BYTES: Final = 10 * 1024 * 1024


@value(frozen=True, slots=True)
class HostRules:
    """What the owner of this machine lets jobs do, beyond running programs."""

    #: Where HTTP jobs may go (see domain/http_allow.py); empty means public addresses alone.
    http_allow: str = ""
    #: Folders that file operations may touch beside the run's own.
    file_roots: tuple[Path, ...] = ()
    #: Cache of tools that fetch packages; None means the tool's own.
    tool_cache: Path | None = None
    artifact_max_bytes: int = ARTIFACT_MAX_BYTES


@value(frozen=True, slots=True)
class Place:
    """Where a run's files are."""

    #: The script itself, where the kind has one as a file.
    script: Path | None
    #: For files of the run that the script should not stumble over.
    folder: Path
    #: The run's own working folder; the script may be started in another.
    work: Path
    rules: HostRules = HostRules()


@value(frozen=True, slots=True)
class Program:
    """What is started."""

    #: The program's absolute path, then its arguments.
    argv: list[str]
    env: Mapping[str, str] = MappingProxyType({})
    #: Version of the interpreter, where the kind has one that is known.
    python_version: str | None = None
    #: JSON that the program writes as its result, or None.
    result: Path | None = None


def find_program(name: str) -> str:
    """Give the absolute path of an installed program. Raises EngineFailed."""
    # Loads archives' libraries, which a short Python script's run does without.
    import shutil  # noqa: PLC0415

    found = shutil.which(name)
    if found is None:
        raise EngineFailed(f"{name} is not installed on this machine")
    return found


def own_program(module: str, *args: str) -> list[str]:
    """Give the command that runs ``main()`` of a module beside the executors, away from what the job's folder holds.

    Neither site-packages nor variables such as PYTHONPATH are looked at: the standard library and this package do.
    """
    return [sys.executable, "-I", "-S", "-c", _OWN.format(module), _ROOT, *args]
