"""Folders that processes of one home share: who holds one, and how it is deleted whatever a script left in it."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

_LOCK: Final = "lock"


def hold(folder: Path) -> BinaryIO | None:
    """Take the folder until the answer is closed or this process ends; None while another has it, or it is gone.

    A lock goes with its process, also in containers, where the numbers of processes say nothing to each other.
    """
    try:
        lock = (folder / _LOCK).open("ab")
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who had it before may have deleted it meanwhile.
        is_ours = os.path.samestat(os.fstat(lock.fileno()), (folder / _LOCK).stat())
    except (BlockingIOError, FileNotFoundError):
        is_ours = False
    if is_ours:
        return lock
    lock.close()
    return None


@contextlib.contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold the folder while the block lasts; tell whether it is ours."""
    lock = hold(folder)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.close()


def remove(folder: Path) -> None:
    """Delete a folder, also where a script took the rights to it away. Raises OSError when something stays."""
    _open_up(folder)
    for place, names, _ in os.walk(folder):
        for name in names:
            _open_up(Path(place, name))
    shutil.rmtree(folder)


def _open_up(folder: Path) -> None:
    # What cannot be opened up is told by the deletion.
    with contextlib.suppress(OSError):
        if not folder.is_symlink():
            folder.chmod(0o700)
