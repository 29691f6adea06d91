"""A folder for one use, for this user alone, where the system has temporary files."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from scriptfleet.config import own_environment

#: In this order, as tempfile has it, which takes longer to load than this to do.
_VARIABLES: Final = ("TMPDIR", "TEMP", "TMP")
_USUAL: Final = ("/tmp", "/var/tmp", "/usr/tmp")  # noqa: S108


@contextmanager
def own_folder(prefix: str) -> Iterator[Path]:
    """Make a folder for as long as the block lasts; it goes with all that is in it. Raises OSError."""
    folder = _new_folder(prefix)
    try:
        yield folder
    finally:
        _delete(folder)


def _new_folder(prefix: str) -> Path:
    said = own_environment()
    places = [*filter(None, map(said.get, _VARIABLES)), *_USUAL, os.getcwd()]
    for place in places:
        folder = Path(os.path.abspath(place), f"{prefix}{os.urandom(8).hex()}")
        try:
            folder.mkdir(mode=0o700)
        except OSError:
            # Not there, full, or not for us: the next one may be.
            continue
        return folder
    raise FileNotFoundError(
        f"no folder for temporary files: {', '.join(places)}: set TMPDIR to one that can be written"
    )


def _delete(folder: Path) -> None:
    try:
        # What was in it is usually gone by now.
        folder.rmdir()
    except OSError:
        # Loaded only where a run has left something of its own.
        import shutil  # noqa: PLC0415

        shutil.rmtree(folder, onerror=_again_with_rights)


def _again_with_rights(act: Callable[[str], Any], path: str, fault: Any) -> None:
    """Delete what a script has made read-only."""
    if isinstance(fault[1], FileNotFoundError):
        return
    if not isinstance(fault[1], PermissionError):
        raise fault[1]
    for denied in (os.path.dirname(path), path):
        if not stat.S_ISLNK(os.lstat(denied).st_mode):
            os.chmod(denied, stat.S_IRWXU)
    act(path)
