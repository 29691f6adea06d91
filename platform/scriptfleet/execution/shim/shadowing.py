"""Modules that a script finds before those of the same name that are loaded, beside it or in PYTHONPATH."""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder


def is_shadowed(folders: Sequence[str]) -> bool:
    """Tell whether a fresh interpreter would load another module than is loaded from the folders that come first."""
    return any(_is_other(folders, name) for name in _loaded_names(folders))


def _loaded_names(folders: Sequence[str]) -> set[str]:
    """Give the names in folders that modules have which are loaded; those built in are found before all others."""
    there = {name.partition(".")[0] for folder in folders for name in _names_in(folder)}
    return (there & sys.modules.keys()) - {*sys.builtin_module_names, "__main__"}


def _names_in(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        # Nothing is found in it either way.
        return []


def _is_other(folders: Sequence[str], name: str) -> bool:
    spec = PathFinder.find_spec(name, folders)
    # A folder without code of its own comes after all others.
    if spec is None or spec.origin is None:
        return False
    loaded = getattr(sys.modules[name], "__dict__", {}).get("__file__")
    return loaded is None or os.path.realpath(spec.origin) != os.path.realpath(loaded)
