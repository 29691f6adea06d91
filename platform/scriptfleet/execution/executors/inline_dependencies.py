"""Scripts that say in a comment which packages they need (PEP 723); `uv run` makes them an environment, cached."""

import re
from pathlib import Path
from typing import Final

from scriptfleet.domain.job import JobSpec
from scriptfleet.errors import EngineFailed
from scriptfleet.execution.program import Place, Program, find_program

#: The block as PEP 723 defines it.
_BLOCK = rb"(?m)^# /// script[ \t]*\r?$\s(?:^#(?:| .*)\r?$\s)+?^# ///\r?$"
_MARK: Final = b"# /// script"
_LONGEST_SEARCHED: Final = 1024 * 1024


def wants_uv(spec: JobSpec, script: Path) -> bool:
    """Tell whether a script is to be run by uv: as its job says, else when it has a block of inline metadata."""
    said = spec.config.get("uv")
    return has_block(script) if said is None else bool(said)


def has_block(script: Path) -> bool:
    """Tell whether a script's first MiB holds a block of inline metadata."""
    with script.open("rb") as source:
        content = source.read(_LONGEST_SEARCHED)
    return _MARK in content and re.search(_BLOCK, content) is not None


def uv_program(spec: JobSpec, place: Place, script: Path) -> Program:
    """Give the call of uv. Raises EngineFailed when uv is not installed here."""
    try:
        uv = find_program("uv")
    except EngineFailed as fault:
        raise EngineFailed(
            f"uv, which {spec.name} needs for its inline dependencies, is not on PATH: install it"
        ) from (fault)
    # A worker's interpreters are the machine's; a job is not what fetches another.
    env = {"UV_PYTHON_DOWNLOADS": "never"}
    if spec.isolation.user is not None:
        # Another user cannot write to the cache that the worker's own user keeps.
        cache = place.folder / "uv-cache"
        cache.mkdir(mode=0o700)
        env["UV_CACHE_DIR"] = str(cache)
    elif place.rules.tool_cache is not None:
        env["UV_CACHE_DIR"] = str(place.rules.tool_cache / "uv")
    chosen = ["--python", spec.interpreter] if spec.interpreter else []
    return Program([uv, "run", "--quiet", "--no-progress", *chosen, "--script", str(script), *spec.args], env)
