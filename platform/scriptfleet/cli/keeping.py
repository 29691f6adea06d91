"""What ``run`` says of the interpreters that it keeps for later calls."""

import sys
from pathlib import Path

from scriptfleet.cli.plain_words import Namespace
from scriptfleet.cli.tool_log import log
from scriptfleet.config import Settings, own_environment
from scriptfleet.domain.job import JobSpec
from scriptfleet.execution import environment
from scriptfleet.execution.engine import Engine
from scriptfleet.execution.executors.inline_dependencies import wants_uv
from scriptfleet.execution.kept.keep import Keep

_INSIDE = "SCRIPTFLEET_RUN_ID"


def keep_of(chosen: Namespace, settings: Settings) -> Keep:
    """Give where they are, and what their modules are imported in: what the options alone make of the environment."""
    own = own_environment()
    inheritance = environment.on_own_machine(own, settings.secret_prefixes, settings.allow_loader_env)
    base = {None: inheritance.usual, True: inheritance.whole, False: inheritance.clean}[chosen.inherit_env]
    kept = {name: value for name, value in base.items() if not environment.is_excluded(name, chosen.exclude_env or ())}
    said = {name: value for name, value in chosen.env or () if "${" not in value}
    if not settings.allow_loader_env:
        said = {name: value for name, value in said.items() if not environment.is_loader_variable(name)}
    # Its cost would be counted, and its processes ended, by neither run.
    obstacle = "inside a run, of which an interpreter that stays is no part" if _INSIDE in own else ""
    return Keep(settings.home, settings.warm_idle_seconds, {**kept, **said}, _tell, obstacle)


def prepare(engine: Engine, spec: JobSpec, script: Path | None) -> None:
    """Wait for the interpreter that a job wants, before its run begins: Ctrl-C ends the wait at once."""
    if spec.warm and not (script is not None and wants_uv(spec, script)):
        engine.prepare(spec.preload)


def _tell(what: str) -> None:
    if sys.stderr.isatty():
        log.info(what)
