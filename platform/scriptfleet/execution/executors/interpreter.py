"""Which Python runs a job: this process's own, or one that the job names by path or by a name found on PATH."""

import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Final

from scriptfleet.config import own_environment
from scriptfleet.domain.job import JobSpec
from scriptfleet.errors import EngineFailed

_ASK_SECONDS: Final = 10.0
_NEEDED: Final = frozenset({"PATH", "HOME"})
_QUESTION: Final = "import platform; print(platform.python_version()); print(platform.python_implementation())"


def interpreter_of(spec: JobSpec) -> tuple[str, str | None]:
    """Give the interpreter's absolute path and its version. Raises EngineFailed when there is none by that name.

    The version is None for an isolated job: asking means to start the program outside its isolation.
    """
    if spec.interpreter is None:
        return sys.executable, sys.version.split(maxsplit=1)[0]
    path = _path_of(spec.interpreter)
    return path, None if spec.isolation else _version(path, os.stat(path).st_mtime_ns)


def _path_of(named: str) -> str:
    if "/" not in named:
        # Few jobs name one.
        import shutil  # noqa: PLC0415

        found = shutil.which(named)
        if found is None:
            raise EngineFailed(f"interpreter {named} is not on this machine's PATH: install it, or name another")
        return found
    path = Path(named).expanduser()
    if not path.is_absolute():
        raise EngineFailed(f"interpreter {named} is a relative path: give it whole, or a name to be found on PATH")
    if not path.is_file() or not os.access(path, os.X_OK):
        raise EngineFailed(f"interpreter {named} is not a program on this machine: install it, or name another")
    return str(path)


@lru_cache(maxsize=64)
def _version(path: str, _changed_ns: int) -> str:
    """Ask an interpreter for its version; asked again when its file has changed."""
    # Few jobs name one.
    import subprocess  # noqa: PLC0415

    env = {name: value for name, value in own_environment().items() if name in _NEEDED}
    try:
        answer = subprocess.run(
            [path, "-E", "-s", "-c", _QUESTION],
            capture_output=True,
            check=True,
            cwd="/",
            env=env,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=_ASK_SECONDS,
        )
        version, implementation = answer.stdout.split("\n")[:2]
    except (OSError, subprocess.SubprocessError, ValueError) as fault:
        raise EngineFailed(f"interpreter {path} does not run Python code ({fault}): name another") from fault
    return version if implementation == "CPython" else f"{version} ({implementation})"
