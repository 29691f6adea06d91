"""Scripts that do what no script should: the outcome is right, and the next run on the same engine none the worse."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scriptfleet import State
from scriptfleet.execution.cgroups.method import Method
from scriptfleet.execution.engine import Engine
from tests.conftest import missing
from tests.engine_bench import Bench
from tests.eventually import eventually
from tests.left_behind import groups_of, holdings


@pytest.fixture(scope="module", params=[Method.AUTO, Method.RUSAGE], ids=["best", "rusage"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made = Engine(method=request.param)
    yield made
    made.close()


@pytest.fixture
def bench(engine: Engine, tmp_path: Path) -> Iterator[Bench]:
    """A bench whose engine has to be in order after the test."""
    made = Bench(engine, tmp_path)
    yield made
    eventually(lambda: made.alive() == [])
    after = made.python("print('next'); raise SystemExit(4)")
    assert (after.outcome, after.usage.exit_code, after.stdout.text) == (State.FAILED, 4, "next\n")
    assert (after.usage.cpu_seconds or 0) > 0
    eventually(lambda: holdings().zombies == [])
    assert groups_of(os.getpid()) == []


def test_one_that_kills_its_parents_process_group_loses_its_own_account_alone(bench: Bench) -> None:
    record = bench.python("import os, time\nos.killpg(os.getpgid(os.getppid()), 9)\ntime.sleep(60)")

    assert (record.outcome, record.usage.error_type) == (State.FAILED, "SupervisorKilled")
    assert record.usage.cpu_avg is None


SIGNAL_THE_FAMILY = """
import os, sys, time
engine, signals = int(sys.argv[1]), [int(one) for one in sys.argv[2:]]
def above(pid):
    return int(open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()[1])
family, pid = [], above(os.getpid())
while pid not in (engine, 0, 1):
    family.append(pid); pid = above(pid)
assert pid == engine and len(family) == 2, (family, pid)
for one in reversed(family):
    if b'scriptfleet' in open(f'/proc/{one}/cmdline', 'rb').read():
        for signum in signals: os.kill(one, signum)
print(len(family), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("signals", [("15",), ("9",), ("1", "10", "12", "14")], ids=["TERM", "KILL", "others"])
def test_one_that_signals_every_supervisor_it_finds_is_ended_with_them(bench: Bench, signals: tuple[str, ...]) -> None:
    """Launcher and shim both: nothing stands above the script any more but the process of the engine."""
    record = bench.python(SIGNAL_THE_FAMILY, (str(os.getpid()), *signals), timeout=20)

    assert (record.outcome, record.usage.error_type) == (State.FAILED, "SupervisorKilled")
    assert bench.alive() == []


def test_one_that_sends_its_supervisors_the_terminals_signals_is_not_heard(bench: Bench) -> None:
    code = SIGNAL_THE_FAMILY.replace("time.sleep(60)", "")
    record = bench.python(code, (str(os.getpid()), "2", "3"), timeout=20)

    assert (record.outcome, record.stdout.text) == (State.SUCCEEDED, "2\n")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        missing("root, to mount a small file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_one_that_fills_its_folder_is_told_to_the_end_and_its_space_comes_back(bench: Bench, small_disk: Path) -> None:
    code = """
import os
out = os.open('all', os.O_CREAT | os.O_WRONLY)
try:
    while True: os.write(out, b'x' * 65536)
except OSError as fault:
    os.write(1, b'z' * 200000)
    raise
"""
    here = Bench(bench.engine, small_disk)
    record = here.python(code, timeout=20)

    assert (record.outcome, record.usage.exit_code) == (State.FAILED, 1)
    assert record.usage.stdout_size_bytes == 200_000
    assert record.stdout.cut_bytes > 0
    here.workspace.remove()
    assert here.shell("dd if=/dev/zero of=some bs=1M count=4 2>/dev/null; echo $?").stdout.text == "0\n"


def test_one_that_fills_its_temporary_folder_fills_that_of_nobody_else(bench: Bench, small_disk: Path) -> None:
    code = "import tempfile\nwith tempfile.NamedTemporaryFile() as full:\n    while True: full.write(b'x' * 65536)"
    record = bench.python(code, env={"TMPDIR": str(small_disk)}, timeout=20)

    assert (record.outcome, record.usage.error_type) == (State.FAILED, "OSError")
    assert record.usage.error_message == "OSError: [Errno 28] No space left on device"
    assert bench.python("import tempfile; tempfile.TemporaryFile().write(b'x' * 9000000)").outcome is State.SUCCEEDED


ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[31m\x1b[6n\x9b5n\x00\x08\r\x1b[1;1Hfake"


def test_one_that_writes_terminal_escapes_has_them_kept_as_bytes(bench: Bench) -> None:
    code = f"import os, sys\nos.write(1, {ESCAPES.encode()!r})\nraise ValueError({ESCAPES!r})"
    record = bench.python(code)

    assert bench.workspace.stdout.read_bytes() == ESCAPES.encode()
    assert record.stdout.text == ESCAPES
    assert (record.outcome, record.usage.exit_code, record.usage.stdout_lines) == (State.FAILED, 1, 1)
    assert "\n" not in (record.usage.error_message or "")


def test_one_that_closes_its_streams_goes_on_to_its_own_end(bench: Bench) -> None:
    code = """
import os, time
os.write(1, b'before')
for fd in (0, 1, 2): os.close(fd)
while time.process_time() < 0.4: pass
os._exit(9)
"""
    record = bench.python(code)

    assert (record.outcome, record.usage.exit_code, record.stdout.text) == (State.FAILED, 9, "before")
    assert 0.39 <= (record.usage.cpu_seconds or 0) < 0.6
    assert (record.usage.execution_time_seconds or 0) >= 0.4


#: Overwrites what /proc shows of it: its name, which then looks like fields of a stat file, arguments and environment.
MASQUERADE = """
import ctypes, json, os, time
libc = ctypes.CDLL(None)
libc.prctl(15, b') Z 1 1 (\\n', 0, 0, 0)
fields = open('/proc/self/stat').read().rsplit(')', 1)[1].split()
for first, last in ((45, 46), (47, 48)):
    start, end = int(fields[first]), int(fields[last])
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, b'[kthreadd]', 10)
if os.fork() == 0:
    os.setsid()
    while True: time.sleep(1)
until = time.process_time() + 0.5
while time.process_time() < until: pass
print(json.dumps({'cpu': time.process_time(), 'line': open('/proc/self/cmdline').read().rstrip(chr(0))}))
"""


def test_one_that_changes_its_title_is_read_and_ended_all_the_same(bench: Bench) -> None:
    before = holdings().descriptors.keys()
    record = bench.python(MASQUERADE)
    known = json.loads(record.stdout.text)

    assert known["line"] == "[kthreadd]"
    assert record.outcome is State.SUCCEEDED
    assert known["cpu"] * 0.98 <= (record.usage.cpu_seconds or 0) <= known["cpu"] * 1.02 + 0.1
    assert (record.usage.pids_count, record.usage.num_threads) == (2, 2)
    # Its marker is gone with its environment: what is left is told by what is below this process.
    assert len(holdings().descriptors.keys() - before) <= 1


def test_one_that_forks_and_exits_at_once_is_over_at_once_with_its_child(bench: Bench) -> None:
    began = time.monotonic()
    record = bench.python("import os, time\nif os.fork(): os._exit(0)\nprint('child', flush=True)\ntime.sleep(60)")

    assert record.outcome is State.SUCCEEDED
    assert time.monotonic() - began < 2.5
    assert bench.alive() == []


DAEMONS = """
import os, signal, time
told, telling = os.pipe()
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for signum in (1, 2, 3, 15): signal.signal(signum, signal.SIG_IGN)
            os.chdir('/'); os.umask(0); os.write(telling, b'x')
            while True: time.sleep(1)
        os._exit(0)
    os.wait()
while len(os.read(told, 9)) == 9: pass
"""


def test_one_that_starts_daemons_leaves_none(bench: Bench) -> None:
    began = time.monotonic()
    record = bench.python(DAEMONS)

    assert record.outcome is State.SUCCEEDED
    assert time.monotonic() - began < 3
    assert bench.alive() == []


def test_one_that_forks_away_from_the_signal_to_end_is_caught(bench: Bench) -> None:
    code = """
import os, signal, time
def away(*_):
    if os.fork(): os._exit(0)
    os.setsid()
signal.signal(15, away)
print('ready', flush=True)
while True: time.sleep(0.01)
"""
    record = bench.python(code, timeout=0.4, grace=0.5)

    assert record.outcome is State.TIMED_OUT
    assert bench.alive() == []


def test_one_that_executes_itself_is_one_run_with_its_whole_cost(bench: Bench) -> None:
    code = """
import os, sys, time
turn = int(sys.argv[1]) if len(sys.argv) > 1 else 0
until = time.process_time() + 0.1
while time.process_time() < until: pass
if turn < 3: os.execv(sys.executable, [sys.executable, sys.argv[0], str(turn + 1)])
print(turn, time.process_time())
"""
    record = bench.python(code)
    turn, cpu = record.stdout.text.split()

    assert (record.outcome, turn) == (State.SUCCEEDED, "3")
    # The clock of a process goes on over an exec.
    assert float(cpu) * 0.98 <= (record.usage.cpu_seconds or 0) <= float(cpu) * 1.02 + 0.1
    assert float(cpu) >= 0.4


def test_an_engine_may_run_inside_a_run(bench: Bench) -> None:
    """As a script does that calls `scriptfleet run`; what it made is gone, and its cost is the outer run's."""
    code = """
import os, sys, tempfile, time
from pathlib import Path
from scriptfleet.execution.engine import Engine
from tests.engine_bench import Bench
engine = Engine()
folder = Path(tempfile.mkdtemp(dir=os.getcwd()))
record = Bench(engine, folder).python('import time\\nwhile time.process_time() < 0.5: pass')
print(record.outcome, record.usage.cpu_seconds, flush=True)
if len(sys.argv) > 1: os.kill(os.getpid(), 9)
"""
    inside = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])}
    for arguments, outcome in (((), State.SUCCEEDED), (("killed",), State.FAILED)):
        record = bench.python(code, arguments, env=inside)
        told, cpu = record.stdout.text.split()

        assert (record.outcome, told) == (outcome, "succeeded")
        assert (record.usage.cpu_seconds or 0) > float(cpu) >= 0.5
