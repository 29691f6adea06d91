"""What watching costs: a run in this process over subprocess.run, and the whole command over plain python."""

import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.figure import BenchmarkFailed, Budget, Figure, at_most
from benchmarks.timing import interleaved, median_ms
from scriptfleet.config import own_environment
from scriptfleet.domain.ids import new_job_id, new_run_id
from scriptfleet.execution import environment
from scriptfleet.execution.engine import Engine
from scriptfleet.execution.identity import Identity
from scriptfleet.execution.pipeline import Assignment, Surroundings, execute, this_host
from scriptfleet.execution.plan import Plan
from scriptfleet.execution.program import find_program
from scriptfleet.execution.secret import SecretChain
from scriptfleet.execution.workspace import Workspace
from scriptfleet.queues import drafts

_RUNS, _COMMANDS, _WARM_UPS = 300, 20, 5
_LIMIT_SECONDS = 10.0
_COMMAND = "exec true"


def measure(effort: Effort) -> list[Figure]:
    """Take both, each interleaved with its peer."""
    with tempfile.TemporaryDirectory(prefix="sf-bench-") as folder:
        return [*_in_process(Path(folder), effort.of(_RUNS, 20)), *_command(Path(folder), effort.of(_COMMANDS, 2))]


def _in_process(folder: Path, runs: int) -> list[Figure]:
    engine = Engine()
    try:
        actions = [
            _subprocess_run(find_program("true")),
            _engine_run(engine, folder),
            _subprocess_run(find_program("sh"), "-c", _COMMAND),
            _recorded_run(engine, folder),
        ]
        interleaved(actions, _WARM_UPS)
        bare, watched, bare_shell, recorded = (median_ms(samples) for samples in interleaved(actions, runs))
    finally:
        engine.close()
    peer = "subprocess.run"
    return [
        *_pair("Engine.run of true", watched, peer, bare, at_most(2), runs),
        *_pair(f"shell job `{_COMMAND}`, folder to record", recorded, peer, bare_shell, at_most(2), runs),
    ]


def _pair(name: str, taken: float, peer: str, bare: float, budget: Budget, runs: int) -> list[Figure]:
    """Give the medians side by side, and the difference, which the budget is about."""
    detail = {"runs": runs}
    return [
        Figure(name, taken, "ms", None, peer, bare, detail),
        Figure(f"  over {peer}", taken - bare, "ms", budget, detail=detail),
    ]


def _subprocess_run(*argv: str) -> Callable[[], object]:
    return lambda: subprocess.run(argv, capture_output=True, check=True, timeout=_LIMIT_SECONDS)


def _engine_run(engine: Engine, folder: Path) -> Callable[[], object]:
    plan = Plan(
        argv=[find_program("true")],
        env=own_environment(),
        cwd=folder,
        stdout=folder / "stdout",
        stderr=folder / "stderr",
        timeout_seconds=_LIMIT_SECONDS,
    )

    def run() -> None:
        ended, _ = engine.run(plan)
        if ended.exit_code:
            raise BenchmarkFailed(f"true ended with {ended.exit_code}")

    return run


def _recorded_run(engine: Engine, folder: Path) -> Callable[[], object]:
    own = own_environment()
    around = Surroundings(engine, environment.on_fleet(own), SecretChain(), cache=None)
    spec = drafts.of_command(_COMMAND, timeout=_LIMIT_SECONDS).spec

    def run() -> None:
        who = Identity(new_run_id(), new_job_id(), 1, "local", this_host())
        workspace = Workspace(folder / who.run_id)
        record = execute(around, Assignment(who, spec, workspace))
        workspace.remove()
        if not record.usage.success:
            raise BenchmarkFailed(f"true ended as {record.outcome}: {record.usage.error_message}")

    return run


def _command(folder: Path, commands: int) -> list[Figure]:
    script = folder / "trivial.py"
    script.write_text("print('hello')\n")
    program = Path(sysconfig.get_path("scripts"), "scriptfleet")
    # As installed: the package is compiled once, by pip or by its first use.
    env = {name: value for name, value in own_environment().items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["SCRIPTFLEET_HOME"] = str(folder / "home")

    def call(*command: str) -> Callable[[], object]:
        return lambda: subprocess.run(command, env=env, capture_output=True, check=True, timeout=_LIMIT_SECONDS)

    run = (str(program), "run", "--quiet")
    actions = [
        call(sys.executable, str(script)),
        call(*run, "--disable-history", str(script)),
        call(*run, "--history-db", str(folder / "history.db"), str(script)),
    ]
    interleaved(actions, 2)
    bare, whole, kept = (median_ms(samples) for samples in interleaved(actions, commands))
    peer = "python trivial.py"
    return [
        *_pair("scriptfleet run trivial.py", whole, peer, bare, at_most(60), commands),
        *_pair("scriptfleet run trivial.py, with history", kept, peer, bare, at_most(150), commands),
    ]
