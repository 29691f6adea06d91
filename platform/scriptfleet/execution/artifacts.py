"""Files that a script asked to keep: taken from the run's own folders when it has ended, whole or not at all."""

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from scriptfleet.domain.run import Artifact
from scriptfleet.errors import ScriptfleetError
from scriptfleet.execution.confined import Confined

_MOST_OF_A_RUN: Final = 50 * 1024 * 1024
_CHUNK: Final = 1024 * 1024
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _NotKept(ScriptfleetError):
    """An artifact that cannot be taken."""


class Taken(NamedTuple):
    """What was taken, and why the rest was not."""

    artifacts: list[Artifact]
    faults: list[str]


def take(named: Mapping[str, str], roots: Sequence[Path], kept: Path, most_bytes: int) -> Taken:
    """Copy artifacts (path by name) into the folder ``kept``, each under its SHA-256, and give what they are.

    A path that leads out of ``roots``, a file larger than ``most_bytes``, what goes over the sum of 50 MiB a run, and
    what is no plain file are left out and told.
    """
    taken = Taken([], [])
    confined = Confined(tuple(roots))
    left = _MOST_OF_A_RUN
    for name, path in named.items():
        try:
            artifact = _take(confined, name, path, kept, min(most_bytes, left))
        except (OSError, ScriptfleetError) as fault:
            reason = fault.strerror if isinstance(fault, OSError) else str(fault)
            taken.faults.append(f"artifact {name}: {reason}")
        else:
            taken.artifacts.append(artifact)
            left -= artifact.size_bytes
    return taken


def _take(confined: Confined, name: str, path: str, kept: Path, most_bytes: int) -> Artifact:
    with (
        confined.spot(os.path.realpath(path)) as spot,
        open(os.open(spot.name, _OPEN, dir_fd=spot.folder_fd), "rb") as source,
    ):
        found = os.fstat(source.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise _NotKept(f"{path} is no plain file")
        kept.mkdir(mode=0o700, exist_ok=True)
        fresh = kept / "fresh"
        size, digest = 0, hashlib.sha256()
        with fresh.open("wb") as copy:
            while chunk := source.read(_CHUNK):
                size += len(chunk)
                if size > most_bytes:
                    fresh.unlink()
                    raise _NotKept(f"{path} has {found.st_size:,} bytes, and {most_bytes:,} is what is left to it")
                digest.update(chunk)
                copy.write(chunk)
    fresh.replace(kept / digest.hexdigest())
    return Artifact(name, size, digest.hexdigest())
