"""Shims serve run after run, leave nothing behind, and a killed one costs its own run alone."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import socketpair
from typing import Any

import pytest

from scriptfleet import State
from scriptfleet.errors import EngineFailed
from scriptfleet.execution.engine import Engine, Running
from scriptfleet.execution.launcher import Line
from scriptfleet.execution.shim import rehearsal
from scriptfleet.execution.shim.tree import children_of, descendants_of
from tests.engine_bench import Bench, processes_with
from tests.eventually import eventually

ROOT = Path(sys.modules["scriptfleet"].__path__[0]).parent

REPO = Path(__file__).parents[3]


@pytest.fixture
def own_engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


def zombies_below(pid: int) -> list[int]:
    found = []
    for child in descendants_of(pid):
        try:
            state = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if state == "Z":
            found.append(child)
    return found


def test_two_hundred_runs_leave_nothing_behind(own_engine: Engine, tmp_path: Path) -> None:
    bench, shims = Bench(own_engine, tmp_path), set()

    def note(running: Running) -> None:
        shims.add(running.shim_pid)

    def open_files() -> tuple[int, int]:
        (shim,) = shims
        return len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{shim}/fd"))

    for _ in range(3):
        bench.python("pass", on_start=note)
    before, threads = open_files(), threading.active_count()
    for _ in range(200):
        assert bench.shell("true & exit 0").outcome is State.SUCCEEDED

    assert open_files() == before
    assert threading.active_count() == threads
    assert zombies_below(os.getpid()) == []
    assert bench.alive() == []


def test_a_run_that_could_not_start_leaves_nothing_behind(own_engine: Engine, tmp_path: Path) -> None:
    bench = Bench(own_engine, tmp_path)
    bench.shell("true")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        assert bench.shell("true", working_dir="/no/such").usage.error_type == "CouldNotStart"

    assert len(os.listdir("/proc/self/fd")) == before
    assert bench.shell("echo still").stdout.text == "still\n"


def test_as_many_shims_are_kept_as_there_were_runs_at_once(own_engine: Engine, tmp_path: Path) -> None:
    bench, shims, together = Bench(own_engine, tmp_path), set(), threading.Barrier(4)

    def note(running: Running) -> None:
        shims.add(running.shim_pid)
        together.wait(10)

    def run(_: int) -> State:
        return Bench(own_engine, tmp_path).python("pass", on_start=note).outcome

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(run, range(4)))
    together = threading.Barrier(1)
    for _ in range(5):
        bench.python("pass", on_start=note)

    assert outcomes == [State.SUCCEEDED] * 4
    assert len(shims) == 4


def test_warming_up_has_the_shims_ready(own_engine: Engine) -> None:
    own_engine.warm_up(3)
    launchers = [pid for pid in children_of(os.getpid()) if len(children_of(pid)) == 3]

    assert len(launchers) == 1


def test_a_script_that_kills_its_supervisor_ends_and_the_next_run_works(own_engine: Engine, tmp_path: Path) -> None:
    bench = Bench(own_engine, tmp_path)
    killer = "import os, time\nos.kill(os.getppid(), 9) if os.fork() else os.setsid()\nwhile True: time.sleep(1)"
    record = bench.python(killer, timeout=20)

    assert (record.outcome, record.usage.error_type) == (State.FAILED, "SupervisorKilled")
    assert record.usage.cpu_avg is None
    eventually(lambda: bench.alive() == [])
    assert bench.python("print('again')").stdout.text == "again\n"
    eventually(lambda: zombies_below(os.getpid()) == [])


def test_a_script_that_kills_its_process_group_harms_nobody_else(own_engine: Engine, tmp_path: Path) -> None:
    record = Bench(own_engine, tmp_path).python("import os; os.killpg(0, 15)")

    assert (record.outcome, record.usage.signal) == (State.FAILED, 15)
    assert Bench(own_engine, tmp_path).shell("true").outcome is State.SUCCEEDED


def test_a_launcher_that_was_killed_is_started_again(own_engine: Engine, tmp_path: Path) -> None:
    before = set(children_of(os.getpid()))
    own_engine.warm_up(1)
    (launcher,) = set(children_of(os.getpid())) - before
    os.kill(launcher, signal.SIGKILL)

    bench, together = Bench(own_engine, tmp_path), threading.Barrier(2)

    def run(_: int) -> State:
        return Bench(own_engine, tmp_path).python("pass", on_start=lambda _: bool(together.wait(10))).outcome

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, range(2))) == [State.SUCCEEDED] * 2
    assert bench.shell("true").outcome is State.SUCCEEDED


def test_a_shim_that_died_while_idle_does_not_cost_the_next_run(own_engine: Engine, tmp_path: Path) -> None:
    bench, shims = Bench(own_engine, tmp_path), []
    bench.python("pass", on_start=lambda running: shims.append(running.shim_pid))
    os.kill(shims[0], signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{shims[0]}").exists())

    assert bench.shell("true").outcome is State.SUCCEEDED


@pytest.fixture
def blocked_signals() -> Iterator[None]:
    """What this thread starts inherits a mask that has these in it, as of a parent that takes signals from a file."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.usefixtures("blocked_signals")
def test_a_shim_is_told_of_ends_where_its_parent_had_their_signal_blocked(own_engine: Engine, tmp_path: Path) -> None:
    files = []

    def note(running: Running) -> None:
        told = [one.read_text() for one in Path(f"/proc/{running.shim_pid}/fdinfo").iterdir()]
        files.extend(int(text.split("sigmask:")[1].split()[0], 16) for text in told if "sigmask:" in text)

    record = Bench(own_engine, tmp_path).shell("sleep 0.1; exit 7", on_start=note, timeout=10)

    assert record.usage.exit_code == 7
    assert files == [1 << signal.SIGCHLD - 1]


@pytest.mark.usefixtures("blocked_signals")
@pytest.mark.parametrize(
    "options", [{}, {"limits": {"open_files": 64}}, {"warm": True}], ids=["spawned", "forked", "warm"]
)
def test_a_script_has_no_signal_blocked_that_its_parent_had(
    own_engine: Engine, tmp_path: Path, options: dict[str, Any]
) -> None:
    code = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []))"

    assert Bench(own_engine, tmp_path).python(code, **options).stdout.text == "set()\n"


#: What tells it of ends is a pipe that nobody writes to.
DEAF = """
import os, sys
from _socket import socket
from scriptfleet.execution.shim.ends import ends_below
from scriptfleet.execution.shim.slot import Slot
ends = ends_below(is_portable=False)
os.dup2(os.pipe()[0], ends.fd)
Slot(socket(fileno=int(sys.argv[1])), ends).serve()
"""


@pytest.mark.parametrize("command", ["exec >&- 2>&-; sleep 0.1; exit 7", "sleep 0.1; (sleep 3) & exit 7"])
def test_a_run_ends_though_its_shim_is_never_told(tmp_path: Path, command: str) -> None:
    ours, theirs = socketpair()
    request = rehearsal._request() | {"argv": ["/bin/sh", "-c", command], "timeout": None}
    deaf = subprocess.Popen([sys.executable, "-c", DEAF, str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    with deaf, ours:
        line = Line(ours)
        line.send(request)
        events = [line.receive(10) for _ in range(3)]

    assert [event and event["event"] for event in events] == ["ready", "started", "ended"]
    assert events[2] is not None
    assert os.waitstatus_to_exitcode(events[2]["status"]) == 7


OWNER = """
import sys
from pathlib import Path
from scriptfleet.execution.engine import Engine
from tests.engine_bench import Bench
bench = Bench(Engine(), Path(sys.argv[1]))
bench.marker = sys.argv[2]
code = Path(sys.argv[3]).read_text()
bench.python(code, grace=60, on_start=lambda _: print('started', flush=True))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_runs_on_when_the_owner_of_the_engine_is_killed(tmp_path: Path, how: signal.Signals) -> None:
    marker, script = uuid.uuid4().hex, tmp_path / "stubborn.py"
    script.write_text(
        "import os, signal, time\nsignal.signal(15, signal.SIG_IGN)\n"
        "if os.fork() == 0: os.setsid()\nwhile True: time.sleep(1)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), marker, str(script)], cwd=REPO, stdout=subprocess.PIPE
    )
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"started\n"
        eventually(lambda: len(processes_with(f"BENCH_MARKER={marker}")) == 2)
        owner.send_signal(how)

    eventually(lambda: processes_with(f"BENCH_MARKER={marker}") == [])


def test_an_engine_whose_interpreter_is_gone_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    engine = Engine()

    with pytest.raises(EngineFailed):
        engine.warm_up(1)
    engine.close()


def test_idle_shims_beyond_a_few_are_let_go(own_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scriptfleet.execution.shelf._MOST_IDLE", 2)
    before = set(children_of(os.getpid()))

    own_engine.warm_up(5)

    (launcher,) = set(children_of(os.getpid())) - before
    eventually(lambda: len(children_of(launcher)) == 2)


def test_a_rehearsed_launcher_is_as_it_was_before_and_its_shims_run_scripts(tmp_path: Path) -> None:
    descriptors, outcomes = [], []
    for is_for_many in (False, True):
        engine = Engine(is_for_many=is_for_many)
        before = set(children_of(os.getpid()))
        engine.warm_up(2)
        (launcher,) = set(children_of(os.getpid())) - before
        descriptors.append(len(os.listdir(f"/proc/{launcher}/fd")))
        assert len(children_of(launcher)) == 2
        record = Bench(engine, tmp_path / str(is_for_many)).shell("sleep 0.01 & echo hello; wait")
        outcomes.append((record.outcome, record.stdout.text, zombies_below(launcher)))
        engine.close()

    assert descriptors[0] == descriptors[1]
    assert outcomes == [(State.SUCCEEDED, "hello\n", [])] * 2


def test_a_shim_that_was_asked_for_ahead_serves_the_first_run_or_goes_with_its_engine(tmp_path: Path) -> None:
    before = set(children_of(os.getpid()))
    used, unused = Engine(), Engine()
    used.start_ahead()
    unused.start_ahead()
    launchers = set(children_of(os.getpid())) - before
    eventually(lambda: all(len(children_of(launcher)) == 1 for launcher in launchers))
    shims = {shim for launcher in launchers for shim in children_of(launcher)}

    record = Bench(used, tmp_path).shell("echo $PPID")
    unused.close()
    left = {shim for launcher in set(children_of(os.getpid())) - before for shim in children_of(launcher)}
    used.close()

    assert int(record.stdout.text) in shims
    assert left == {int(record.stdout.text)}
    assert set(children_of(os.getpid())) == before


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="others have another allocator")
def test_what_a_launcher_of_many_loads_next_lies_by_itself() -> None:
    code = """
from scriptfleet.execution.shim import many
many._fill_gaps()
pools = {len(block): id(block) // many._POOL_BYTES for block in many._FILLING}
print(len(pools), sum(id(bytes(size)) // many._POOL_BYTES == pool for size, pool in pools.items()))
"""
    command = [sys.executable, "-S", "-c", code]
    env = {"PYTHONPATH": str(ROOT)}

    said = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    sizes, fresh = map(int, said.split())

    # This program itself makes and frees objects meanwhile, so some sizes have a gap again.
    assert sizes == 30
    assert fresh > 20
