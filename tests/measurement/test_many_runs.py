"""Many runs: a hundred at once are each told right, and a thousand one after another leave nothing behind."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scriptfleet import State
from scriptfleet.domain.run import RunRecord
from scriptfleet.execution.cgroups.method import Method
from scriptfleet.execution.engine import Engine
from tests.engine_bench import Bench
from tests.eventually import eventually
from tests.left_behind import holdings, resident_kb

AT_ONCE = 100

#: Holds some memory, burns some CPU time, waits until all are there, says what it did, and ends by its own number.
ONE_OF_MANY = """
import json, os, sys, time
number, gate = int(sys.argv[1]), sys.argv[2]
held = b'x' * ((8 + number % 16) << 20)
until = time.process_time() + 0.02
while time.process_time() < until: pass
resident = int(open('/proc/self/statm').read().split()[1]) * 4096
while not os.path.exists(gate): time.sleep(0.05)
print('noise on the other stream', file=sys.stderr)
print(json.dumps({'number': number, 'resident': resident, 'cpu': time.process_time()}), flush=True)
os._exit(number % 3)
"""


@pytest.fixture
def slow_engine() -> Iterator[Engine]:
    made = Engine(interval_seconds=1.0)
    yield made
    made.close()


def test_a_hundred_runs_at_once_are_each_told_right(slow_engine: Engine, tmp_path: Path) -> None:
    """All are there at once, each is read at least twice at 1 Hz, and each shows its own cost."""
    gate, started = tmp_path / "gate", []

    def run(number: int) -> RunRecord:
        bench = Bench(slow_engine, tmp_path)
        return bench.python(ONE_OF_MANY, (str(number), str(gate)), on_start=started.append, timeout=60)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        ends = [pool.submit(run, number) for number in range(AT_ONCE)]
        try:
            eventually(lambda: len(started) == AT_ONCE, within=60)
            # The first readings come at once, the others each second: two more make four or more.
            eventually(lambda: all(one.watched and len(list(one.watched.curve.points())) >= 6 for one in started), 30)
        finally:
            gate.touch()
        records = [end.result(60) for end in ends]

    for number, record in enumerate(records):
        _assert_its_own(record, number)
    assert len({record.run_id for record in records}) == AT_ONCE


def _assert_its_own(record: RunRecord, number: int) -> None:
    known, usage = json.loads(record.stdout.text), record.usage

    assert known["number"] == number
    assert record.outcome is (State.FAILED if number % 3 else State.SUCCEEDED)
    assert (usage.exit_code, usage.signal) == (number % 3, None)
    assert record.stderr.text == "noise on the other stream\n"
    assert known["cpu"] * 0.98 <= (usage.cpu_seconds or 0) <= known["cpu"] * 1.02 + 0.1
    assert usage.memory_max_mb == pytest.approx(known["resident"] / 2**20, rel=0.05)
    assert (usage.pids_count, usage.num_threads) == (1, 1)


@pytest.mark.parametrize("method", [Method.AUTO, Method.RUSAGE], ids=["best", "rusage"])
def test_a_thousand_runs_one_after_another_leave_nothing_behind(method: Method, tmp_path: Path) -> None:
    """No descriptor, thread, zombie, process, file or control group; and the supervisors do not grow."""
    engine = Engine(method=method)
    try:
        bench = Bench(engine, tmp_path)
        # The one thread that samples begins with the first run that lasts.
        bench.shell("sleep 0.5")
        bench.workspace.remove()
        _runs(bench, 20)
        before, sizes = holdings(), _sizes()
        _runs(bench, 1000)

        eventually(lambda: holdings() == before)
        assert bench.alive() == []
        assert os.listdir(tmp_path) == []
        assert before.groups == []
        assert all(size - sizes[pid] < 3 * 1024 for pid, size in _sizes().items())
    finally:
        engine.close()
    eventually(lambda: holdings().zombies == [])


def _runs(bench: Bench, count: int) -> None:
    """Do short runs, each tenth of which leaves a daemon."""
    for number in range(count):
        command = "true" if number % 10 else "setsid sleep 60 & exit 3"
        record = bench.shell(command)
        bench.workspace.remove()

        assert record.usage.exit_code == (0 if number % 10 else 3), record


def _sizes() -> dict[int, int]:
    """Give resident KiB of this process and the supervisors below it."""
    return {pid: resident_kb(pid) for pid in holdings().descriptors}
