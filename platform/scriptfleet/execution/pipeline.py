"""The life of a run on this machine: prepare, start and watch, conclude. Each step takes the run so far."""

import platform
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.kinds import PYTHON_KINDS
from scriptfleet.domain.run import RunRecord
from scriptfleet.domain.state import State
from scriptfleet.errors import BlobMissing, BrokerUnreachable, InvalidValue, ScriptfleetError
from scriptfleet.execution import environment
from scriptfleet.execution.conclude import Facts, Identity, conclude, not_started
from scriptfleet.execution.engine import CouldNotStart, Engine, Running, Supervisor
from scriptfleet.execution.executor import executor_of
from scriptfleet.execution.plan import Plan
from scriptfleet.execution.program import Place, Program
from scriptfleet.execution.shelf import Preload
from scriptfleet.execution.workspace import SourceCache, Workspace


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all runs of this process share."""

    engine: Engine
    #: Inherited part of the environment of scripts.
    base_env: Mapping[str, str]
    secrets: Mapping[str, str]
    #: None where scripts are run where they lie.
    cache: SourceCache | None
    #: What Python jobs find imported though they did not ask for it; None means that they start cold.
    preload: Preload = None
    #: Passes output on, and standard input in.
    is_interactive: bool = False


@dataclass(frozen=True, slots=True)
class Assignment:
    """One run to do."""

    who: Identity
    spec: JobSpec
    workspace: Workspace
    #: Run this file where it lies, not a copy.
    script: Path | None = None
    #: Working folder unless the spec names one; None means the run's own.
    cwd: Path | None = None
    #: CLOCK_MONOTONIC moment of the lease's end, or None.
    lease_until: float | None = None


#: What a run that could not go on amounts to, the first that fits: outcome, error type (None: its own name), prefix.
_FAILURES: dict[type[Exception], tuple[State, str | None, str]] = {
    InvalidValue: (State.REJECTED, "InvalidJob", ""),
    Supervisor: (State.FAILED, "SupervisorKilled", ""),
    CouldNotStart: (State.FAILED, None, ""),
    BlobMissing: (State.REJECTED, None, ""),
    # The job goes back to the queue: nothing of it has run.
    BrokerUnreachable: (State.LOST, "WorkerLost", "cannot fetch the script: "),
    ScriptfleetError: (State.REJECTED, None, ""),
    OSError: (State.FAILED, "WorkerDisk", "cannot prepare the run: "),
}


def execute(around: Surroundings, run: Assignment, on_start: Callable[[Running], None] | None = None) -> RunRecord:
    """Do one run and give its record; whatever goes wrong is in the record. The workspace is left for the caller."""
    try:
        program = _prepare(around, run)
        plan = _plan(around, run, program)
        ended, watched = around.engine.run(plan, on_start)
    except (ScriptfleetError, OSError) as fault:
        outcome, error_type, prefix = next(how for kind, how in _FAILURES.items() if isinstance(fault, kind))
        return not_started(run.who, outcome, error_type or type(fault).__name__, f"{prefix}{fault}", time.time())
    facts = Facts(ended, watched, plan.stdout, plan.stderr, program.python_version, program.result)
    return conclude(run.who, run.spec, facts)


@cache
def this_host() -> str:
    """Give the name of this machine."""
    return socket.gethostname()


@cache
def this_platform() -> str:
    """Give what runs here, such as Linux-6.1-x86_64."""
    return platform.platform()


def _prepare(around: Surroundings, run: Assignment) -> Program:
    spec, workspace = run.spec, run.workspace
    workspace.make()
    script = run.script
    entry = spec.config.get("entry")
    if script is None and spec.source is not None and around.cache is not None:
        around.cache.fill(spec.source, entry or "", workspace.work)
        script = workspace.work / entry if entry else None
    return executor_of(spec.kind).program(spec, Place(script, workspace.folder))


def _plan(around: Surroundings, run: Assignment, program: Program) -> Plan:
    spec, who = run.spec, run.who
    about = {
        "SCRIPTFLEET_JOB_ID": who.job_id,
        "SCRIPTFLEET_RUN_ID": who.run_id,
        "SCRIPTFLEET_ATTEMPT": str(who.attempt),
    }
    preload = _preload(around, spec, program)
    return Plan(
        argv=program.argv if preload is None else program.argv[1:],
        preload=preload,
        env=environment.for_run(around.base_env, spec, around.secrets, about) | program.env,
        cwd=Path(spec.working_dir) if spec.working_dir else run.cwd or run.workspace.work,
        stdout=run.workspace.stdout,
        stderr=run.workspace.stderr,
        timeout_seconds=spec.timeout_seconds,
        grace_seconds=spec.grace_seconds,
        limits=spec.limits,
        lease_until=run.lease_until,
        echo=around.is_interactive,
        stdin="inherit" if around.is_interactive else "null",
    )


def _preload(around: Surroundings, spec: JobSpec, program: Program) -> Preload:
    """Tell which warm interpreter fits: one for this very interpreter that runs a file, or none."""
    if spec.kind not in PYTHON_KINDS or spec.interpreter or program.argv[0] != sys.executable:
        return None
    return spec.preload if spec.warm else around.preload
