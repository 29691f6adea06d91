"""Modules that lie beside a script, and that it would find before those of the same name that are loaded already."""

import os
import sys
from collections.abc import Iterator, Mapping
from importlib.machinery import PathFinder


def is_shadowed(folder: str, env: Mapping[str, str]) -> bool:
    """Tell whether a fresh interpreter would load another module from the script's folder than this one has."""
    return not env.get("PYTHONSAFEPATH") and any(_is_other(folder, name) for name in _loaded_names(folder))


def _loaded_names(folder: str) -> Iterator[str]:
    """Give the names in a folder that modules have which are loaded; those built in are found before all others."""
    try:
        there = {name.partition(".")[0] for name in os.listdir(folder)}
    except OSError:
        # Nothing is found in it either way.
        return iter(())
    return iter((there & sys.modules.keys()) - {*sys.builtin_module_names, "__main__"})


def _is_other(folder: str, name: str) -> bool:
    spec = PathFinder.find_spec(name, [folder])
    # A folder without code of its own comes after all others.
    if spec is None or spec.origin is None:
        return False
    loaded = getattr(sys.modules[name], "__dict__", {}).get("__file__")
    return loaded is None or os.path.realpath(spec.origin) != os.path.realpath(loaded)
