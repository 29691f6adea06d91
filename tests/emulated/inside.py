"""What is done inside the emulated machine: the engine on control groups v2, as root and as a user with a delegation.

Each check is a function; a line PASS or FAIL is said of each, and at last how many there were.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scriptfleet import State
from scriptfleet.domain.run import RunRecord
from scriptfleet.execution.cgroups.group import GroupReading
from scriptfleet.execution.cgroups.method import Method
from scriptfleet.execution.engine import Engine, Running
from tests.engine_bench import Bench
from tests.eventually import eventually

ROOT = Path("/sys/fs/cgroup")
NOBODY = 65534

BURN = """
import json, os, resource, time
def burn(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until: pass
def used():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)
"""

Check = Callable[[Bench], None]


def runs_are_accounted_by_cgroup2(bench: Bench) -> None:
    accounting = bench.engine.accounting
    usage = bench.shell("true").usage

    assert accounting.method is Method.CGROUP2, accounting.reasons
    assert usage.cpu_method == "cgroup2"
    assert usage.memory_charged_max_mb, usage


def two_cpu_seconds_of_a_grandchild_belong_to_the_run(bench: Bench) -> None:
    code = BURN + (
        "if os.fork() == 0:\n    if os.fork() == 0: burn(2.0); os._exit(0)\n    os.wait(); os._exit(0)\n"
        "os.wait()\nprint(json.dumps(used()))"
    )
    _assert_cpu(bench.python(code))


def two_cpu_seconds_of_a_daemon_belong_to_the_run(bench: Bench) -> None:
    code = BURN + (
        "told, telling = os.pipe()\nif os.fork() == 0:\n    os.setsid()\n"
        "    if os.fork() == 0: burn(2.0); os.write(telling, json.dumps(used()).encode()); os._exit(0)\n"
        "    os._exit(0)\nos.wait()\nprint(float(os.read(told, 99)) + used())"
    )
    _assert_cpu(bench.python(code))


def _assert_cpu(record: RunRecord, known: float | None = None) -> None:
    assert record.outcome is State.SUCCEEDED, record
    known = json.loads(record.stdout.text) if known is None else known
    measured = record.usage.cpu_seconds or 0
    # What ends the interpreters comes after they have told what they used; it is slow on an emulated processor.
    assert known * 0.99 <= measured <= known * 1.02 + 0.3, (measured, known)


def runs_side_by_side_show_their_own_cost(bench: Bench) -> None:
    code = BURN + "burn(0.5); print(json.dumps(used()))"
    with ThreadPoolExecutor(4) as pool:
        records = list(pool.map(lambda _: Bench(bench.engine, bench.folder).python(code), range(4)))

    for record in records:
        _assert_cpu(record)


def a_memory_bomb_is_out_of_memory_with_its_peak_at_the_limit(bench: Bench) -> None:
    record = bench.python("held = []\nwhile True: held.append(b'x' * (8 << 20))", limits={"memory_mb": 128})

    assert record.outcome is State.OUT_OF_MEMORY, record
    # The kernel ends it by what it was charged, or the sampler by resident pages, some of them charged to others.
    assert 0.95 * 128 <= (record.usage.memory_charged_max_mb or 0) <= 128.01, record.usage
    assert 0.95 * 128 <= (record.usage.memory_max_mb or 0) <= 1.15 * 128, record.usage


def a_grandchild_that_died_for_want_of_memory_counts(bench: Bench) -> None:
    greedy = f"{sys.executable} -c 'x = bytearray(300 << 20)'"
    record = bench.shell(f'sh -c "{greedy}; true"; exit 0', limits={"memory_mb": 64})

    assert (record.outcome, record.usage.error_type) == (State.OUT_OF_MEMORY, "MemoryLimit"), record


def a_fork_bomb_ends_at_the_limit_of_processes(bench: Bench) -> None:
    code = "import os, time\nfor _ in range(200):\n    if os.fork() == 0: time.sleep(60); os._exit(0)\ntime.sleep(60)"
    record = bench.python(code, limits={"processes": 20}, timeout=60)

    assert (record.outcome, record.usage.error_type) == (State.FAILED, "ProcessLimit"), record
    assert (record.usage.pids_count or 0) <= 20, record.usage


def the_kernels_files_are_read(bench: Bench) -> None:
    seen: list[GroupReading] = []

    def look(running: Running) -> None:
        (folder,) = ROOT.glob(f"**/scriptfleet-{os.getpid()}-*")
        for name in ("cpu.stat", "memory.peak", "memory.events", "pids.events", "cpu.pressure", "memory.pressure"):
            assert (folder / name).read_text(), name
        assert running.group is not None
        seen.append(running.group.read())

    bench.python("pass", on_start=look)

    assert seen[0].throttled_seconds is not None or "throttled_usec" not in (ROOT / "cpu.stat").read_text()
    assert {name for name, _ in seen[0].stalled_seconds} == {"cpu", "memory", "io"}, seen


def an_engine_inside_a_run_leaves_no_group_behind(bench: Bench) -> None:
    record = _engine_in_a_run(bench, "print(run('echo inner').stdout.text)")

    assert record.stdout.text.split() == ["inner"], record
    assert _groups() == []


def an_engine_that_was_killed_inside_a_run_leaves_no_group_behind(bench: Bench) -> None:
    _engine_in_a_run(bench, "run('kill -9 $PPID; kill -9 %d; sleep 9' % os.getpid())")

    eventually(lambda: _groups() == [])


INNER = """
import os, sys, tempfile
from pathlib import Path
from scriptfleet.execution.cgroups.method import Method
from scriptfleet.execution.engine import Engine
from tests.engine_bench import Bench
engine = Engine(method=Method.CGROUP2)
assert engine.accounting.method == 'cgroup2', engine.accounting.reasons
def run(command):
    return Bench(engine, Path(tempfile.mkdtemp())).shell(command)
"""


def _engine_in_a_run(bench: Bench, then: str) -> RunRecord:
    return bench.python(INNER + then + "\nengine.close()", env={"PYTHONPATH": os.pathsep.join(sys.path)})


def engines_of_two_processes_do_not_disturb_each_other(bench: Bench) -> None:
    code = INNER + "run('sleep 1'); print(run('echo second').stdout.text); engine.close()"
    group = ROOT / "shared"
    group.mkdir()
    procs = [_in_group(group, code) for _ in range(2)]
    said = [one.communicate(timeout=120)[0].split() for one in procs]

    assert said == [["second"]] * 2, said
    assert _groups() == []
    bench.shell("true")


def a_user_with_a_delegated_group_has_it_all(bench: Bench) -> None:
    group = ROOT / "delegated"
    group.mkdir()
    for path in (group, group / "cgroup.procs", group / "cgroup.subtree_control"):
        os.chown(path, NOBODY, NOBODY)
    child = _in_group(group, INNER + "print(run('echo mine').usage.cpu_method); engine.close()", user=NOBODY)
    said = child.communicate(timeout=120)[0].split()

    assert said == ["cgroup2"], said
    assert bench.shell("true").outcome is State.SUCCEEDED


def a_user_without_one_is_told_so_and_accounted_otherwise(bench: Bench) -> None:
    group = ROOT / "foreign"
    group.mkdir()
    code = INNER.replace("method=Method.CGROUP2", "").replace(
        "assert", "print(engine.accounting.method, *engine.accounting.reasons) #"
    )
    said = _in_group(group, code + "print(run('echo x').usage.cpu_method)", user=NOBODY).communicate(timeout=120)[0]

    assert said.startswith("rusage"), said
    assert said.split()[-1] == "rusage", said
    assert "not ours to divide (Permission denied): delegate it to this user" in said, said
    assert bench.shell("true").outcome is State.SUCCEEDED


def _in_group(group: Path, code: str, user: int | None = None) -> "subprocess.Popen[str]":
    """Start a program that is in the group from its birth on."""
    return subprocess.Popen(
        ["/bin/sh", "-c", f'echo 0 > {group}/cgroup.procs && exec "$@"', "sh", *_as(user), sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        cwd="/tmp",
    )


def _as(user: int | None) -> list[str]:
    if user is None:
        return []
    become = (
        f"import os, sys; os.setgroups([]); os.setgid({user}); os.setuid({user}); os.execv(sys.argv[1], sys.argv[1:])"
    )
    return [sys.executable, "-c", become]


def a_hundred_runs_leave_no_group_behind(bench: Bench) -> None:
    for _ in range(100):
        assert bench.shell("true").outcome is State.SUCCEEDED

    assert _groups() == []
    assert bench.alive() == []


def _groups() -> list[str]:
    return [str(path) for path in ROOT.glob("**/scriptfleet-*-*")]


CHECKS: tuple[Check, ...] = (
    runs_are_accounted_by_cgroup2,
    two_cpu_seconds_of_a_grandchild_belong_to_the_run,
    two_cpu_seconds_of_a_daemon_belong_to_the_run,
    runs_side_by_side_show_their_own_cost,
    a_memory_bomb_is_out_of_memory_with_its_peak_at_the_limit,
    a_grandchild_that_died_for_want_of_memory_counts,
    a_fork_bomb_ends_at_the_limit_of_processes,
    the_kernels_files_are_read,
    an_engine_inside_a_run_leaves_no_group_behind,
    an_engine_that_was_killed_inside_a_run_leaves_no_group_behind,
    engines_of_two_processes_do_not_disturb_each_other,
    a_user_with_a_delegated_group_has_it_all,
    a_user_without_one_is_told_so_and_accounted_otherwise,
    a_hundred_runs_leave_no_group_behind,
)


def main() -> None:
    """Do every check on one engine."""
    engine = Engine(method=Method.CGROUP2)
    # The firmware leaves the line of the terminal unfinished.
    print(flush=True)
    for check in CHECKS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            trouble = _trouble(check, Bench(engine, Path(folder)))
        word = "FAIL" if trouble else "PASS"
        print(f"{word} {check.__name__} ({time.monotonic() - began:.1f} s){trouble}", flush=True)
    engine.close()
    print(f"DONE {len(CHECKS)} checks", flush=True)


def _trouble(check: Check, bench: Bench) -> str:
    try:
        check(bench)
    except Exception:
        return "\n" + traceback.format_exc()
    return ""


if __name__ == "__main__":
    main()
