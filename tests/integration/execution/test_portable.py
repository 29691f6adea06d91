"""Runs without what only Linux offers, as subreapers, /proc and control groups: by ps, psutil and wait4."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from scriptfleet import State
from scriptfleet.execution.cgroups.method import Method
from scriptfleet.execution.engine import Engine, Running
from scriptfleet.execution.reports import VARIABLE
from tests.engine_bench import Bench
from tests.eventually import eventually
from tests.integration.execution.test_ending import DAEMON_AND_GO, STUBBORN


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine(method=Method.SAMPLED)
    yield made
    made.close()


def test_a_run_is_accounted_by_waiting_for_it_and_by_readings(bench: Bench) -> None:
    usage = bench.python("import time; held = b'x' * (50 << 20); time.sleep(0.3)").usage

    assert (usage.cpu_method, usage.pids_method, usage.pids_count) == ("sampled", "sampled", 1)
    assert 50 < (usage.memory_max_mb or 0) < 80
    assert usage.memory_charged_max_mb is None
    assert (usage.cpu_seconds or 0) > 0


def test_a_script_and_its_children_are_over_soon_after_their_time(bench: Bench) -> None:
    code = (
        "import os, signal, time\nos.fork()\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)"
    )
    started = time.monotonic()
    record = bench.python(code, timeout=0.5, grace=0.3)

    assert time.monotonic() - started < 0.5 + 0.3 + 2.0
    assert record.outcome is State.TIMED_OUT
    assert bench.alive() == []


def test_a_stubborn_daemon_in_a_session_of_its_own_is_known_by_its_environment_and_ended(bench: Bench) -> None:
    record = bench.python(STUBBORN, timeout=0.5, grace=0.3)

    assert record.outcome is State.TIMED_OUT
    eventually(lambda: bench.alive() == [])


def test_a_daemon_that_is_left_behind_is_ended_after_its_script(bench: Bench) -> None:
    record = bench.python(DAEMON_AND_GO, grace=60)

    assert (record.outcome, record.stdout.text) == (State.SUCCEEDED, "done\n")
    eventually(lambda: bench.alive() == [])


def test_what_is_left_in_the_scripts_own_group_is_told_to_end_and_may_clean_up(bench: Bench) -> None:
    record = bench.shell("(trap 'echo cleaned; exit' TERM; echo set; while :; do sleep 0.05; done) & sleep 0.3")

    assert record.outcome is State.SUCCEEDED
    assert record.stdout.text == "set\ncleaned\n"
    assert bench.alive() == []


def test_a_fork_bomb_is_gone_with_its_run(bench: Bench) -> None:
    bomb = "import os\nfor _ in range(5): os.fork()\nos.setsid() if os.getpid() != os.getpgid(0) else 0\n"
    record = bench.python(bomb + "import time\nwhile True: time.sleep(1)", timeout=1, grace=0.1)

    assert record.outcome is State.TIMED_OUT
    eventually(lambda: bench.alive() == [])


def test_time_that_a_killed_daemon_used_is_counted(bench: Bench) -> None:
    code = """
import os, time
told, telling = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while time.process_time() < 0.5: pass
        os.write(telling, b'x')
        while True: time.sleep(1)
    os._exit(0)
os.wait()
os.read(told, 1)
"""
    usage = bench.python(code).usage

    assert 0.5 <= (usage.cpu_seconds or 0) <= 0.5 * 1.02 + 0.2
    assert usage.pids_count == 2


def test_memory_of_the_whole_tree_is_held_to_its_limit(bench: Bench) -> None:
    code = "import os, time\nfor _ in range(3): os.fork() or (b'x' * (60 << 20), time.sleep(30))\ntime.sleep(30)"
    hog = code.replace("(b'x' * (60 << 20), time.sleep(30))", "hold()")
    hog = "def hold():\n    held = b'x' * (60 << 20)\n    time.sleep(30)\n" + hog
    record = bench.python(hog, limits={"memory_mb": 128}, timeout=20)

    assert record.outcome is State.OUT_OF_MEMORY
    assert bench.alive() == []


def test_runs_side_by_side_are_told_from_each_other(engine: Engine, bench: Bench) -> None:
    others = Bench(engine, bench.folder)
    found: list[int | None] = []
    both = [
        threading.Thread(target=lambda: found.append(bench.shell("exec sleep 0.6").usage.pids_count)),
        threading.Thread(target=lambda: found.append(others.shell("sleep 0.6 & sleep 0.6; wait").usage.pids_count)),
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()

    assert sorted(found, key=str) == [1, 3]


def test_what_an_earlier_run_in_the_same_folders_has_left_is_no_part_of_the_next(bench: Bench) -> None:
    report = bench.shell(f'printf %s "${VARIABLE}"').stdout.text
    folder, left = bench.workspace.folder, []
    bench.workspaces.give_back(bench.workspace)

    def leave(_: Running) -> None:
        left.append(subprocess.Popen(["sleep", "60"], env={VARIABLE: report}))

    record = bench.shell("exec sleep 0.6", on_start=leave)

    try:
        assert bench.workspace.folder == folder
        assert record.usage.pids_count == 1
        assert left[0].poll() is None
    finally:
        left[0].kill()
        left[0].wait()


def test_nothing_is_left_of_a_run_whose_shim_was_killed(bench: Bench) -> None:
    def kill(running: Running) -> None:
        eventually(lambda: running.watched is not None and running.watched.is_sampled)
        os.kill(running.shim_pid, signal.SIGKILL)

    record = bench.python("import os, time; os.fork(); time.sleep(60)", on_start=kill)

    assert record.usage.error_type == "SupervisorKilled"
    eventually(lambda: bench.alive() == [])


def test_a_warm_interpreter_works_as_well(bench: Bench) -> None:
    record = bench.python("print('warm')", warm=True)

    assert (record.outcome, record.stdout.text) == (State.SUCCEEDED, "warm\n")


def test_psutil_is_loaded_by_this_method_alone() -> None:
    program = "import sys; from scriptfleet.execution.engine import Engine; Engine(); print('psutil' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert said.stdout == "False\n"
