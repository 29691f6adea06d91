"""What an interpreter has loaded, as it lies on disk: once any of it differs, a fresh one would load something else."""

import os
import site
import sys

_OF_PACKAGES = ("site-packages", "dist-packages")

Mark = tuple[int, int, int] | None


class Loaded:
    """The files of all modules that are loaded now, and the folders into which packages are installed."""

    def __init__(self) -> None:
        self._before = {path: _mark(path) for path in _paths()}

    def is_unchanged(self) -> bool:
        """Tell whether all of it is as it was."""
        return all(_mark(path) == mark for path, mark in self._before.items())


def _paths() -> set[str]:
    found = {sys.executable, os.path.join(sys.prefix, "pyvenv.cfg"), site.USER_SITE if site.ENABLE_USER_SITE else None}
    # Some modules make up attributes when asked for them, so only what is there is looked at.
    found |= {getattr(module, "__dict__", {}).get("__file__") for module in list(sys.modules.values())}
    # Installing anything changes its folder's time; an archive of modules is a file.
    found |= {path for path in sys.path if os.path.basename(path) in _OF_PACKAGES or os.path.isfile(path)}
    return {path for path in found if isinstance(path, str) and path}


def _mark(path: str) -> Mark:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
