"""The life of a run on this machine: prepare, start and watch, conclude. Each step takes the run so far."""

import os
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.kinds import PYTHON_KINDS
from scriptfleet.domain.state import State
from scriptfleet.domain.value import value
from scriptfleet.errors import BlobMissing, BrokerUnreachable, InvalidValue, ScriptfleetError
from scriptfleet.execution import environment
from scriptfleet.execution.engine import CouldNotStart, Engine, LeaseOver, Running, Supervisor
from scriptfleet.execution.environment import Inheritance, RunEnvironment
from scriptfleet.execution.executor import executor_of, timeout_of, turn_of
from scriptfleet.execution.identity import Identity
from scriptfleet.execution.plan import Plan
from scriptfleet.execution.program import HostRules, Place, Program
from scriptfleet.execution.secret import SecretChain
from scriptfleet.execution.shelf import Preload
from scriptfleet.execution.workspace import SourceCache, Workspace
from scriptfleet.late_log import late_log

log = late_log("scriptfleet.engine")

if TYPE_CHECKING:
    from scriptfleet.domain.run import RunRecord
    from scriptfleet.execution.ended import Ended
    from scriptfleet.execution.monitor.watched import Watched


@value(frozen=True, slots=True)
class Surroundings:
    """What all runs of this process share."""

    engine: Engine
    #: What scripts may inherit of this process's environment.
    inheritance: Inheritance
    #: Where secrets are fetched from, for each run anew.
    secrets: SecretChain
    #: None where scripts are run where they lie.
    cache: SourceCache | None
    #: What this machine's owner lets jobs do.
    rules: HostRules = HostRules()
    #: What Python jobs find imported though they did not ask for it; None means that they start cold.
    preload: Preload = None
    #: Passes output on, and standard input in.
    is_interactive: bool = False


@value(frozen=True, slots=True)
class Assignment:
    """One run to do."""

    who: Identity
    spec: JobSpec
    workspace: Workspace
    #: Run this file where it lies, not a copy.
    script: Path | None = None
    #: Working folder unless the spec names one; None means the run's own.
    cwd: Path | None = None
    #: CLOCK_MONOTONIC moment of the lease's end, or what tells it as it stands then, or None.
    lease_until: float | Callable[[], float] | None = None


#: What a run that could not go on amounts to, the first that fits: outcome, error type (None: its own name), prefix.
_FAILURES: dict[type[Exception], tuple[State, str | None, str]] = {
    InvalidValue: (State.REJECTED, "InvalidJob", ""),
    Supervisor: (State.FAILED, "SupervisorKilled", ""),
    # As for one that the shim ends at its lease.
    LeaseOver: (State.LOST, "WorkerLost", ""),
    CouldNotStart: (State.FAILED, None, ""),
    BlobMissing: (State.REJECTED, None, ""),
    # The job goes back to the queue: nothing of it has run.
    BrokerUnreachable: (State.LOST, "WorkerLost", "cannot fetch the script: "),
    ScriptfleetError: (State.REJECTED, None, ""),
    OSError: (State.FAILED, "WorkerDisk", "cannot prepare the run: "),
}


def execute(around: Surroundings, run: Assignment, on_start: Callable[[Running], None] | None = None) -> "RunRecord":
    """Do one run and give its record; whatever goes wrong is in the record. The workspace is left for the caller."""
    masks: tuple[bytes, ...] = ()
    try:
        program = _prepare(around, run)
        env = _environment(around, run)
        masks = env.masks
        run.workspace.reports.hide(masks)
        with turn_of(run.spec.kind):
            plan = _plan(around, run, program, env)
            ended, watched = around.engine.run(plan, partial(_started, on_start))
    except (ScriptfleetError, OSError) as fault:
        return _failed(run, fault, masks)
    return _concluded(around, run, plan, program, ended, watched)


def _started(on_start: Callable[[Running], None] | None, running: Running) -> None:
    if on_start is not None:
        on_start(running)
    # What comes after the script is loaded while it runs, once a process.
    from scriptfleet.execution.conclude import this_platform  # noqa: PLC0415

    this_platform()


def _failed(run: Assignment, fault: Exception, masks: tuple[bytes, ...]) -> "RunRecord":
    from scriptfleet.execution.conclude import masked, not_started  # noqa: PLC0415

    outcome, error_type, prefix = next(how for kind, how in _FAILURES.items() if isinstance(fault, kind))
    record = not_started(run.who, outcome, error_type or type(fault).__name__, f"{prefix}{fault}", time.time())
    return masked(record, masks)


def _concluded(
    around: Surroundings, run: Assignment, plan: Plan, program: Program, ended: "Ended", watched: "Watched"
) -> "RunRecord":
    from scriptfleet.execution.conclude import Facts, conclude, masked  # noqa: PLC0415
    from scriptfleet.execution.reported import with_reported  # noqa: PLC0415

    facts = Facts(ended, watched, plan.stdout, plan.stderr, program.python_version, program.result)
    record = conclude(run.who, run.spec, facts)
    record = with_reported(record, run.workspace, _own_folders(run), around.rules.artifact_max_bytes)
    return masked(record, plan.masks)


@cache
def this_host() -> str:
    """Give the name of this machine."""
    return os.uname().nodename


def _prepare(around: Surroundings, run: Assignment) -> Program:
    spec, workspace = run.spec, run.workspace
    _check_folder(spec.working_dir, run.who.worker)
    workspace.make()
    script = run.script
    entry = spec.config.get("entry")
    if script is None and spec.source is not None and around.cache is not None:
        around.cache.fill(spec.source, entry or "", workspace.work)
        script = workspace.work / entry if entry else None
    place = Place(script, workspace.folder, run.cwd or workspace.work, around.rules)
    return executor_of(spec.kind).program(spec, place)


def _check_folder(working_dir: str | None, worker: str) -> None:
    # The system would tell it as a fault of the interpreter's.
    if working_dir and not Path(working_dir).is_dir():
        raise CouldNotStart(f"working folder {working_dir} does not exist on worker {worker}: make it, or name another")


def _environment(around: Surroundings, run: Assignment) -> RunEnvironment:
    spec, who = run.spec, run.who
    facts = {"job.id": who.job_id, "run.id": who.run_id, "job.attempt": str(who.attempt)}
    return environment.for_run(around.inheritance, spec, around.secrets.fetch(spec.secrets), facts)


def _plan(around: Surroundings, run: Assignment, program: Program, env: RunEnvironment) -> Plan:
    spec = run.spec
    preload = _preload(around, spec, program)
    variables = {**env.variables, **program.env}
    plan = Plan(
        argv=program.argv if preload is None else program.argv[1:],
        preload=preload,
        env=variables | run.workspace.reports.environment(variables),
        masks=env.masks,
        cwd=Path(spec.working_dir) if spec.working_dir else run.cwd or run.workspace.work,
        stdout=run.workspace.stdout,
        stderr=run.workspace.stderr,
        timeout_seconds=timeout_of(spec),
        grace_seconds=spec.grace_seconds,
        limits=spec.limits,
        lease_until=run.lease_until() if callable(run.lease_until) else run.lease_until,
        echo=around.is_interactive,
        stdin="inherit" if around.is_interactive else "null",
    )
    return _set_apart(plan, run, program) if spec.isolation else plan


def _set_apart(plan: Plan, run: Assignment, program: Program) -> Plan:
    # Few jobs ask for isolation.
    from scriptfleet.execution.isolation.apart import Belongings, set_apart  # noqa: PLC0415

    run.workspace.reports.path.touch(mode=0o600)
    return set_apart(plan, run.spec, Belongings(run.workspace, run.script, program.result))


def _own_folders(run: Assignment) -> list[Path]:
    """Give where a script's artifacts may lie: what its own user could read there is no more than this one can."""
    own, chosen = run.cwd or run.workspace.work, run.spec.working_dir
    return [own, Path(chosen)] if chosen and run.spec.isolation.user is None else [own]


def _preload(around: Surroundings, spec: JobSpec, program: Program) -> Preload:
    """Tell which warm interpreter fits: one for this very interpreter that runs a file, or none."""
    if spec.kind not in PYTHON_KINDS or spec.interpreter or program.argv[0] != sys.executable or spec.isolation:
        if spec.warm:
            log.warning("started_cold job=%s reason=%s runs it", spec.name, program.argv[0])
        return None
    # A job that names no modules is content with any interpreter that is warm: best the one that the worker keeps.
    return spec.preload or around.preload or () if spec.warm else around.preload
