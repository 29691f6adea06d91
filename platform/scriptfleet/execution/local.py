"""A run on this machine with no server: the same engine, the same record."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from scriptfleet.config import RUN_INTERVAL_SECONDS, Settings, load_settings, own_environment
from scriptfleet.domain.ids import new_job_id, new_run_id
from scriptfleet.domain.job import JobSpec
from scriptfleet.execution import environment
from scriptfleet.execution.cgroups.method import Method
from scriptfleet.execution.engine import Engine, Running
from scriptfleet.execution.identity import Identity
from scriptfleet.execution.own_folder import own_folder
from scriptfleet.execution.pipeline import Assignment, Surroundings, execute, this_host
from scriptfleet.execution.program import HostRules
from scriptfleet.execution.secret import secrets_of
from scriptfleet.execution.shim import signals
from scriptfleet.execution.workspace import Workspace

if TYPE_CHECKING:
    from scriptfleet.domain.run import RunRecord


def run_local(
    spec: JobSpec,
    *,
    script: Path | None = None,
    echo: bool = True,
    interval_seconds: float = RUN_INTERVAL_SECONDS,
    settings: Settings | None = None,
    engine: Engine | None = None,
    job_id: str | None = None,
    attempt: int = 1,
    on_start: Callable[[], None] | None = None,
    on_end: Callable[["RunRecord", Workspace], None] | None = None,
) -> "RunRecord":
    """Run a job here and now, in the current folder and environment, and give its record.

    ``script`` is run where it lies. With ``echo`` its output is passed on as it comes and it may read standard input.
    SIGINT and SIGTERM to this process end the run politely; the record then says cancelled.

    ``settings`` say where secrets are; None means those of the environment. ``engine`` is one that is there already
    and stays, with an interval of its own and ``inherit_stdio=echo``; None means one for this run alone. ``job_id`` and
    ``attempt`` are told to a script that is tried again; ``on_start`` is called while it runs, and ``on_end`` gets the
    record while the run's files are still there. Raises InvalidValue for settings that cannot be.
    """
    said = settings or load_settings()
    who = Identity(new_run_id(), job_id or new_job_id(), attempt, "local", this_host())
    with own_folder("scriptfleet-") as folder, _ended_by_signals(on_start) as started:
        workspace = Workspace(folder / who.run_id)
        assignment = Assignment(who, spec, workspace, script and script.absolute(), cwd=Path.cwd())
        at_work = engine or Engine(interval_seconds, echo, Method(said.monitor))
        try:
            record = execute(_surroundings(at_work, said, echo), assignment, started)
        finally:
            if engine is None:
                at_work.close()
        if on_end is not None:
            on_end(record, workspace)
        workspace.remove()
    return record


def _surroundings(engine: Engine, said: Settings, is_interactive: bool) -> Surroundings:
    own = own_environment()
    return Surroundings(
        engine=engine,
        inheritance=environment.on_own_machine(own, said.secret_prefixes, said.allow_loader_env),
        secrets=secrets_of(said, own),
        cache=None,
        rules=HostRules(said.http_allow, said.file_roots),
        is_interactive=is_interactive,
    )


@contextmanager
def _ended_by_signals(on_start: Callable[[], None] | None) -> Iterator["_Stopper"]:
    stopper = _Stopper(on_start)
    before = {signum: signals.signal(signum, stopper.on_signal) for signum in (signals.SIGINT, signals.SIGTERM)}
    try:
        yield stopper
    finally:
        for signum, handler in before.items():
            signals.signal(signum, handler)


class _Stopper:
    """Ends the run on a signal, also on one that came before the run had started."""

    def __init__(self, on_start: Callable[[], None] | None) -> None:
        self._on_start = on_start
        self._running: Running | None = None
        self._is_asked = False

    def __call__(self, running: Running) -> None:
        self._running = running
        if self._is_asked:
            _cancel(running, None)
        if self._on_start is not None:
            self._on_start()

    def on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        # A second one will not wait for the grace.
        grace = 0.0 if self._is_asked else None
        self._is_asked = True
        if self._running is not None:
            _cancel(self._running, grace)


def _cancel(running: Running, grace_seconds: float | None) -> None:
    # What ends are called is known once the script has started.
    from scriptfleet.domain.outcome import StopReason  # noqa: PLC0415

    running.stop(StopReason.CANCELLED, grace_seconds)
