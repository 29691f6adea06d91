"""A run that takes all it can get ends at its limit, by that name, and others beside it notice nothing."""

import json
import subprocess
import sys
import threading
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

REPO = Path(__file__).parents[3]
LIMIT_MB = 256

#: As fast as it can, up to a bound that keeps the machine whole should the limit not hold.
MEMORY_BOMB = "import time\nheld = [bytearray(8 << 20) for _ in range(256)]\ntime.sleep(60)"
#: No faster than a reading every 100 ms can follow.
MEMORY_LEAK = """
import time
held = []
for _ in range(256):
    held.append(bytearray(4 << 20)); time.sleep(0.01)
time.sleep(60)
"""
FORK_BOMB = """
import os, time
for _ in range(9):
    try: os.fork()
    except BlockingIOError: pass
time.sleep(60)
"""
#: Works for a while, and says how long it took by its own clock.
PEER = """
import time
start, done = time.monotonic(), 0
while time.monotonic() - start < 2.0:
    done += 1; time.sleep(0.01)
print(time.monotonic() - start)
"""


@pytest.fixture(scope="module", params=[Method.AUTO, Method.RUSAGE], ids=["best", "rusage"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made = Engine(method=request.param)
    yield made
    made.close()


def beside_peers(bench: Bench, bomb: str, **limits: float) -> RunRecord:
    """Run a bomb once three peers are at work, check these, and give the bomb's record."""
    at_work = threading.Barrier(4)

    def peer(_: int) -> RunRecord:
        return Bench(bench.engine, bench.folder).python(PEER, on_start=lambda _: bool(at_work.wait(10)))

    with ThreadPoolExecutor(3) as pool:
        peers = pool.map(peer, range(3))
        at_work.wait(10)
        record = bench.python(bomb, limits=limits, timeout=30, grace=0.2)
        for one in peers:
            assert one.outcome is State.SUCCEEDED, one
            # Its own clock has nothing of the interpreter's start and end.
            assert 2.0 <= float(one.stdout.text) < 3.0
            assert (one.usage.execution_time_seconds or 9) - float(one.stdout.text) < 1.0
            assert (one.usage.memory_max_mb or 999) < 40
            assert (one.usage.pids_count, one.usage.error_type) == (1, None)
    assert bench.shell("echo next").stdout.text == "next\n"
    return record


def has_group(bench: Bench) -> bool:
    return bench.engine.accounting.hierarchy is not None


@pytest.mark.parametrize("bomb", [MEMORY_BOMB, MEMORY_LEAK], ids=["fast", "slow"])
def test_a_memory_bomb_is_out_of_memory_at_its_limit(bench: Bench, bomb: str) -> None:
    record = beside_peers(bench, bomb, memory_mb=LIMIT_MB)
    usage = record.usage

    assert (record.outcome, usage.error_type) == (State.OUT_OF_MEMORY, "MemoryLimit")
    assert usage.error_message == "over its memory limit: 256 MiB"
    assert (usage.memory_max_mb or 0) >= 0.9 * LIMIT_MB
    if has_group(bench):
        # The kernel lets nothing above it; what is resident may be a little more than what is charged.
        assert 0.9 * LIMIT_MB <= (usage.memory_charged_max_mb or 0) <= LIMIT_MB
        assert (usage.memory_max_mb or 0) <= 1.05 * LIMIT_MB
    elif bomb is MEMORY_LEAK:
        assert (usage.memory_max_mb or 0) <= 1.3 * LIMIT_MB


def test_a_child_that_died_for_want_of_memory_makes_the_run_out_of_memory(bench: Bench) -> None:
    code = f"""
import os, time
if os.fork() == 0:
    if os.fork() == 0:
        held = bytearray({2 * LIMIT_MB} << 20); time.sleep(60)
    os.wait(); os._exit(0)
os.wait()
"""
    record = beside_peers(bench, code, memory_mb=LIMIT_MB)

    assert (record.outcome, record.usage.error_type) == (State.OUT_OF_MEMORY, "MemoryLimit")


def test_a_fork_bomb_ends_by_its_limit_of_processes(bench: Bench) -> None:
    record = beside_peers(bench, FORK_BOMB, processes=30)
    usage = record.usage

    assert (record.outcome, usage.error_type) == (State.FAILED, "ProcessLimit")
    assert usage.error_message == "over its limit of processes: 30"
    assert 0 < (usage.pids_count or 0) <= (30 if has_group(bench) else 512)
    eventually(lambda: bench.alive() == [])


GIGABYTE = 1 << 30
CAP = 10_000_000
#: Alone in a process, so that its memory is the engine's.
TELLER = """
import json, os, sys
from pathlib import Path
from scriptfleet.execution.engine import Engine
from scriptfleet.execution.shim.tree import descendants_of
from tests.engine_bench import Bench
from tests.left_behind import resident_kb
bench = Bench(Engine(), Path(sys.argv[1]))
bench.shell('true')
ours = [os.getpid(), *descendants_of(os.getpid())]
before = {pid: resident_kb(pid) for pid in ours}
for pid in ours: Path(f'/proc/{pid}/clear_refs').write_text('5')
record = bench.python(sys.argv[2], limits={'output_bytes': int(sys.argv[3])})
grown = sum(resident_kb(pid, 'VmHWM') - before[pid] for pid in ours)
kept = bench.workspace.stdout.stat().st_size
print(json.dumps({'grown_kb': grown, 'processes': len(ours), 'kept': kept, 'outcome': record.outcome,
    'size': record.usage.stdout_size_bytes, 'lines': record.usage.stdout_lines, 'cut': record.stdout.cut_bytes,
    'tail': record.stdout.text[-64:], 'stderr': record.usage.stderr_size_bytes}))
"""
GUSH = """
import os
block = (b'y' * 63 + b'\\n') * 16384
for _ in range(1023): os.write(1, block)
os.write(1, block[:-1])
"""


def test_a_gigabyte_of_output_is_counted_exactly_in_little_memory(tmp_path: Path) -> None:
    """The peak of the engine's process, its launcher and its shim, all together, over what they held before."""
    done = subprocess.run(
        [sys.executable, "-c", TELLER, str(tmp_path), GUSH, str(CAP)],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    told = json.loads(done.stdout)
    note = len(f"\n[scriptfleet: {GIGABYTE - 1 - CAP} bytes cut here]\n")

    assert told["outcome"] == "succeeded"
    assert (told["size"], told["lines"], told["stderr"]) == (GIGABYTE - 1, GIGABYTE // 64, 0)
    assert told["kept"] == CAP + note
    assert told["cut"] == GIGABYTE - 1 - 64 * 1024
    assert told["tail"] == "\n" + "y" * 63
    assert told["processes"] == 3
    assert told["grown_kb"] <= 15 * 1024
