"""Scripts of known cost: what is recorded is held against what the script itself did, within a stated tolerance."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scriptfleet import State, Usage
from scriptfleet.domain.run import RunRecord
from scriptfleet.execution.cgroups.method import Method
from scriptfleet.execution.engine import Engine
from scriptfleet.execution.plan import Plan
from scriptfleet.execution.program import find_program
from tests.engine_bench import Bench

MIB = 1024 * 1024

#: Burns this much CPU time by its own clock, then says what it used in all.
BURN = """
import json, os, resource, sys, time
def burn(seconds):
    while time.process_time() < seconds: pass
def resident():
    return int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize()
def say(**known):
    print(json.dumps(known), flush=True)
"""


def known_of(record: RunRecord) -> dict[str, float]:
    assert record.outcome is State.SUCCEEDED, record
    known: dict[str, float] = json.loads(record.stdout.text)
    return known


def assert_cpu(usage: Usage, known: float, interpreters: int = 1, is_daemon: bool = False) -> None:
    """Hold CPU time against the script's own: never less, and no more above than starting Python costs.

    Where readings are all there is of a daemon, what it used after the last of them is not known.
    """
    measured = usage.cpu_seconds
    unseen = 0.2 if is_daemon and usage.cpu_method == "sampled" else 0.0
    assert measured is not None
    assert known * 0.99 - unseen <= measured <= known * 1.02 + 0.1 * interpreters


def test_a_second_of_cpu_is_a_second(bench: Bench) -> None:
    record = bench.python(BURN + "burn(1.0); say(cpu=time.process_time())")

    assert_cpu(record.usage, known_of(record)["cpu"])
    assert record.usage.cpu_avg == pytest.approx(
        100 * (record.usage.cpu_seconds or 0) / (record.usage.execution_time_seconds or 1)
    )


def test_two_seconds_of_cpu_in_a_grandchild_belong_to_the_run(bench: Bench) -> None:
    code = (
        BURN
        + """
if os.fork() == 0:
    if os.fork() == 0:
        burn(2.0); say(cpu=time.process_time()); os._exit(0)
    os.wait(); os._exit(0)
os.wait()
"""
    )
    record = bench.python(code)

    assert_cpu(record.usage, known_of(record)["cpu"])


def test_two_seconds_of_cpu_in_a_daemon_belong_to_the_run(bench: Bench) -> None:
    code = (
        BURN
        + """
told, telling = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        burn(2.0); say(cpu=time.process_time()); os.write(telling, b'x'); os._exit(0)
    os._exit(0)
os.wait()
os.read(told, 1)
"""
    )
    record = bench.python(code)

    assert_cpu(record.usage, known_of(record)["cpu"], is_daemon=True)


def test_cpu_time_of_a_daemon_that_is_killed_at_the_end_belongs_to_the_run(bench: Bench) -> None:
    code = (
        BURN
        + """
told, telling = os.pipe()
if os.fork() == 0:
    os.setsid()
    burn(0.5); say(cpu=time.process_time()); os.write(telling, b'x')
    while True: time.sleep(1)
os.read(told, 1)
"""
    )
    record = bench.python(code)

    assert_cpu(record.usage, known_of(record)["cpu"], is_daemon=True)


def test_memory_held_for_a_moment_is_seen_whole(bench: Bench) -> None:
    code = (
        BURN
        + """
before = resident()
held = b'x' * (300 << 20)
say(before=before, held=resident())
time.sleep(0.05)
"""
    )
    record = bench.python(code)
    known, measured = known_of(record), record.usage.memory_max_mb

    assert measured is not None
    assert measured >= 300
    assert measured == pytest.approx(known["held"] / MIB, rel=0.02)


def test_memory_that_is_given_back_stays_in_the_peak(bench: Bench) -> None:
    code = BURN + "held = b'x' * (200 << 20); say(held=resident()); del held; time.sleep(0.7)"
    record = bench.python(code)

    assert record.usage.memory_max_mb == pytest.approx(known_of(record)["held"] / MIB, rel=0.02)
    assert (record.usage.memory_min_mb or 999) < 100


def test_memory_held_by_several_processes_adds_up(bench: Bench) -> None:
    code = (
        BURN
        + """
for _ in range(3):
    if os.fork() == 0:
        held = b'x' * (100 << 20); time.sleep(0.8); os._exit(0)
[os.wait() for _ in range(3)]
say(held=300)
"""
    )
    record = bench.python(code)

    assert 300 <= (record.usage.memory_max_mb or 0) <= 300 + 4 * 15


def test_a_small_script_is_not_charged_with_the_memory_of_its_supervisors(bench: Bench) -> None:
    record = bench.shell("sleep 0.25")

    assert 0.3 <= (record.usage.memory_max_mb or 0) <= 8


def test_twenty_processes_at_once_are_counted(bench: Bench) -> None:
    code = (
        BURN
        + """
for _ in range(20):
    if os.fork() == 0:
        time.sleep(0.5); os._exit(0)
[os.wait() for _ in range(20)]
say(processes=21)
"""
    )
    record = bench.python(code)

    assert record.usage.pids_count == known_of(record)["processes"]


def test_threads_and_open_files_are_counted(bench: Bench) -> None:
    code = (
        BURN
        + """
import threading
files = [open('/dev/null') for _ in range(50)]
threads = [threading.Thread(target=time.sleep, args=(3,)) for _ in range(10)]
[one.start() for one in threads]; say(); [one.join() for one in threads]
"""
    )
    usage = bench.python(code).usage

    assert usage.num_threads == 11
    assert 53 <= (usage.num_fds or 0) <= 56


def test_fifty_mebibytes_written_to_disk_are_counted_also_from_a_grandchild(bench: Bench, tmp_path: Path) -> None:
    target = tmp_path / "written"
    code = (
        BURN
        + f"""
if os.fork() == 0:
    if os.fork() == 0:
        out = os.open({str(target)!r}, os.O_CREAT | os.O_WRONLY)
        for _ in range(50): os.write(out, os.urandom(1 << 20))
        os.fsync(out)
        told = dict(line.split(': ') for line in open('/proc/self/io').read().splitlines())
        say(written=int(told['write_bytes'])); os._exit(0)
    os.wait(); os._exit(0)
os.wait()
"""
    )
    record = bench.python(code)
    written = known_of(record)["written"]

    # A folder in memory takes bytes without any storage being written.
    assert written == 0 or written >= 50 * MIB
    assert record.usage.block_io_write_bytes == pytest.approx(written, rel=0.02, abs=MIB)
    assert (record.usage.page_faults_minor or 0) > 100


@pytest.mark.parametrize("method", [Method.AUTO, Method.RUSAGE, Method.SAMPLED])
def test_a_run_far_shorter_than_the_interval_has_its_whole_cost(tmp_path: Path, method: Method) -> None:
    engine = Engine(interval_seconds=10, method=method)
    try:
        code = BURN + "start = time.monotonic(); burn(time.process_time() + 0.012); say(busy=time.monotonic() - start)"
        record = Bench(engine, tmp_path).python(code)
    finally:
        engine.close()
    usage, busy = record.usage, known_of(record)["busy"]

    assert busy >= 0.012
    assert busy <= (usage.execution_time_seconds or 0) < 2
    assert 0.012 <= (usage.cpu_seconds or 0) < 0.3
    mean = 100 * (usage.cpu_seconds or 0) / (usage.execution_time_seconds or 1)
    assert (usage.cpu_min or 0) <= mean * 1.001
    assert (usage.cpu_max or 0) >= mean * 0.999
    assert 3 < (usage.memory_max_mb or 0) < 40
    assert (usage.pids_count, usage.num_threads) == (1, 1)
    assert (usage.page_faults_minor or 0) > 0


def test_a_duration_is_that_of_the_script_and_not_of_the_interval(bench: Bench) -> None:
    code = BURN + "start = time.monotonic(); time.sleep(0.137); say(slept=time.monotonic() - start)"
    record = bench.python(code)
    spent, slept = record.usage.execution_time_seconds or 0, known_of(record)["slept"]

    assert slept <= spent < slept + 0.5


def test_a_duration_has_nothing_of_the_engines_own_work_in_it(engine: Engine, tmp_path: Path) -> None:
    """Taken in turn with starting the same program directly, so that the engine is at rest before each run: entering
    a control group is slow then. A busy machine adds to either, and never takes away: so the least of each are alike,
    of more runs the busier it is."""
    program, known, measured = find_program("sleep"), [], []
    for number in range(40):
        began = time.monotonic()
        os.waitpid(os.posix_spawn(program, [program, "0.2"], os.environ), 0)
        known.append(time.monotonic() - began)
        ended, _ = engine.run(
            Plan([program, "0.2"], dict(os.environ), tmp_path, tmp_path / f"{number}.out", tmp_path / f"{number}.err")
        )
        measured.append(ended.seconds)
        if number >= 4 and abs(min(measured) - min(known)) <= 0.002:
            break

    assert min(measured) == pytest.approx(min(known), abs=0.002)


def test_runs_side_by_side_each_show_their_own_cost(engine: Engine, tmp_path: Path) -> None:
    code = BURN + "burn(0.4); say(cpu=time.process_time())"
    with ThreadPoolExecutor(4) as pool:
        records = list(pool.map(lambda _: Bench(engine, tmp_path).python(code), range(4)))

    for record in records:
        assert_cpu(record.usage, known_of(record)["cpu"])


def test_a_cheap_run_after_a_dear_one_on_the_same_shim_is_cheap(bench: Bench) -> None:
    bench.python(BURN + "held = b'x' * (200 << 20); burn(0.3); say()")
    # Long enough for a sample on a busy machine: without one the peak of so small a script is not known.
    usage = bench.python("import time; time.sleep(0.2)").usage

    assert (usage.cpu_seconds or 9) < 0.2
    assert (usage.memory_max_mb or 999) < 40


def test_every_number_says_how_it_was_got(bench: Bench, engine: Engine) -> None:
    # Long enough for a sample on a busy machine: without one the peak of so small a script is not known.
    usage = bench.python("import time; time.sleep(0.3)").usage
    methods = {usage.cpu_method, usage.memory_method, usage.io_method, usage.pids_method}

    assert None not in methods
    assert methods <= {"cgroup2", "cgroup1", "rusage", "sampled"}
    assert usage.cpu_method == str(engine.accounting.method)


def test_what_this_machine_cannot_give_is_none_and_not_zero(bench: Bench) -> None:
    usage = bench.python("pass").usage

    assert (usage.gpu_util_max, usage.network_rx_bytes, usage.memory_limit_mb) == (None, None, None)
