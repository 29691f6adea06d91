"""The processes of a run: seen while it goes on, and kept as they were when they were most."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from scriptfleet.domain.process_tree import LONGEST_COMMAND, ProcessSeen, ProcessTree
from scriptfleet.execution.cgroups.method import Method
from scriptfleet.execution.engine import Engine, Running
from tests.engine_bench import Bench
from tests.eventually import eventually

SECRET = "hunter2-and-$ome/more"
#: Waits until the engine has seen it all.
WAIT = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.02)\n"


@pytest.fixture(scope="module", params=[Method.AUTO, Method.SAMPLED], ids=["best", "sampled"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made = Engine(0.05, method=request.param)
    yield made
    made.close()


@pytest.fixture
def bench(engine: Engine, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(engine, tmp_path, secrets={"TOKEN": SECRET})
    yield made
    assert made.alive() == []


class Look:
    """Ends the script, which waits for a file, once its processes were seen as they should be."""

    def __init__(self, bench: Bench, count: int) -> None:
        self._bench, self._count = bench, count
        self.live: ProcessTree | None = None

    def __call__(self, running: Running) -> None:
        def whole() -> ProcessTree:
            assert running.watched
            kept, now = running.watched.snapshots.kept, running.watched.process_tree()
            assert kept
            assert now
            # While a process starts others there may be more for a moment.
            assert kept.count >= now.count == self._count
            return now

        self.live = eventually(whole, within=60)
        (self._bench.workspace.work / "go").touch()


def named(tree: ProcessTree, part: str) -> ProcessSeen:
    return next(one for one in tree.processes if part in one.command)


def test_processes_are_named_with_their_parents_and_what_they_use(bench: Bench) -> None:
    code = f"""
import subprocess
hold = bytearray(b"x") * (30 << 20)
child = subprocess.Popen(["sh", "-c", "sleep 61 & wait", "<script>alert(1)</script>"])
{WAIT}
subprocess.run(["pkill", "-P", str(child.pid)]); child.wait()
"""
    look = Look(bench, 3)
    record = bench.python(code, on_start=look)

    for tree in (look.live, record.process_tree):
        assert tree
        assert tree.count == len(tree.processes)
        main, shell = tree.processes[0], named(tree, "sh -c")
        sleep = next(one for one in tree.processes if one.parent_pid == shell.pid)
        assert (shell.parent_pid, sleep.parent_pid) == (main.pid, shell.pid)
        assert main.command.endswith(".py")
        assert shell.command == "sh -c sleep 61 & wait <script>alert(1)</script>"
        assert sleep.command == "sleep 61"
        assert main.memory_mb > 30
        assert 0 < sleep.memory_mb < 10
        assert main.cpu_seconds > sleep.cpu_seconds
        assert 0 <= sleep.age_seconds <= main.age_seconds < 60


def test_a_secret_in_arguments_is_never_shown(bench: Bench) -> None:
    code = f"""
import subprocess, os
value = os.environ["TOKEN"]
said = [value, "--x=" + value.encode().hex(), "a" * 4080 + value]
children = [subprocess.Popen(["sh", "-c", "sleep 62; true", one]) for one in said]
{WAIT}
for child in children: subprocess.run(["pkill", "-P", str(child.pid)]); child.wait()
"""
    look = Look(bench, 7)
    record = bench.python(code, secrets=["TOKEN"], on_start=look)

    shown = str(look.live) + str(record.to_dict())
    assert "***" in str(record.process_tree)
    for form in (SECRET, SECRET.encode().hex(), SECRET[:9]):
        assert form not in shown


def test_names_and_arguments_of_any_sort_are_shown_harmless_and_short(bench: Bench) -> None:
    code = f"""
import subprocess
hostile = ["\\x1b]0;owned\\x07\\x1b[31m<script>alert(1)</script>\\r\\n", b"\\xff\\xfe\\x00x"[:2], "y" * 100_000]
child = subprocess.Popen(["sh", "-c", "sleep 63; true", *hostile])
open("/proc/self/comm", "w").write("\\x1b[2Jme")
{WAIT}
subprocess.run(["pkill", "-P", str(child.pid)]); child.wait()
"""
    look = Look(bench, 3)
    record = bench.python(code, on_start=look)

    for tree in (look.live, record.process_tree):
        assert tree
        assert all(one.command.isprintable() and len(one.command) <= LONGEST_COMMAND for one in tree.processes)
        assert named(tree, "sh -c sleep 63; true <script>alert(1)</script>")


def test_of_very_many_processes_the_largest_are_named_and_all_are_counted(bench: Bench) -> None:
    code = f"""
import subprocess
many = [subprocess.Popen(["sleep", "64"]) for _ in range(60)]
holds = "x = bytearray(b'x') * (20 << 20); print(flush=True); import time; time.sleep(64)"
large = subprocess.Popen(["python3", "-c", holds], stdout=subprocess.PIPE)
large.stdout.readline()
{WAIT}
for one in [*many, large]: one.kill(); one.wait()
"""
    look = Look(bench, 62)
    record = bench.python(code, on_start=look, env={"PATH": os.environ["PATH"]})

    for tree in (look.live, record.process_tree):
        assert tree
        assert tree.count >= 62
        assert len(tree.processes) == 50
    assert look.live
    assert "time.sleep(64)" in look.live.processes[1].command


def test_the_largest_tree_is_kept_though_it_was_not_the_last(bench: Bench) -> None:
    code = f"""
import subprocess, time
many = [subprocess.Popen(["sleep", "65"]) for _ in range(3)]
{WAIT}
for one in many: one.kill(); one.wait()
time.sleep(0.3)
"""
    record = bench.python(code, on_start=Look(bench, 4))

    assert record.process_tree
    assert record.process_tree.count >= 4
    assert named(record.process_tree, "sleep 65")


def test_a_run_that_is_over_has_no_processes_any_more_and_a_short_one_kept_none(bench: Bench) -> None:
    started: list[Running] = []
    record = bench.python("pass", on_start=started.append)

    assert started[0].watched
    assert started[0].watched.process_tree() is None
    assert record.process_tree is None or record.process_tree.seconds >= 0.2
