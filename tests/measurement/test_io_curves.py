"""Storage I/O while a run goes on, held against what its processes know of themselves."""

import json
from itertools import pairwise

from scriptfleet.domain.state import State
from scriptfleet.execution.cgroups.method import Method
from scriptfleet.execution.engine import Engine, Running
from tests.engine_bench import Bench
from tests.eventually import eventually

#: Writes itself, in a child, and in a daemon that ends: each when it is let, and each says what it wrote.
STEPS = """
import json, os, time
def write(name):
    while not os.path.exists(name + '.go'): time.sleep(0.02)
    out = os.open(name, os.O_CREAT | os.O_WRONLY)
    for _ in range(4): os.write(out, os.urandom(1 << 20))
    os.fsync(out); os.close(out)
    told = dict(line.split(': ') for line in open('/proc/self/io').read().splitlines())
    with open('part', 'w') as file: json.dump(int(told['write_bytes']), file)
    os.rename('part', name + '.said')
write('own')
if os.fork() == 0:
    write('child'); os._exit(0)
os.wait()
if os.fork() == 0:
    if os.fork() == 0:
        write('daemon'); os._exit(0)
    os._exit(0)
os.wait()
while not os.path.exists('end.go'): time.sleep(0.02)
"""


def test_bytes_are_seen_while_they_are_written_whoever_of_the_run_writes_them(bench: Bench, engine: Engine) -> None:
    def follow(running: Running) -> None:
        work, written = bench.workspace.work, 0
        for name in ("own", "child", "daemon"):
            (work / f"{name}.go").touch()
            said = work / f"{name}.said"
            eventually(said.exists, within=60)
            written += json.loads(said.read_text())
            if name == "daemon" and engine.accounting.method is Method.SAMPLED:
                # Nobody of the run waits for it: what it wrote may be gone with it.
                continue
            eventually(lambda: shown(running) >= written, within=60)  # noqa: B023
        (work / "end.go").touch()

    record = bench.python(STEPS, on_start=follow)
    seen = [(one.block_io_read_bytes or 0, one.block_io_write_bytes or 0) for one in record.curve]

    assert record.outcome is State.SUCCEEDED, record
    assert all(before[0] <= after[0] and before[1] <= after[1] for before, after in pairwise(seen))
    # There the record does not count daemons.
    if engine.accounting.method is not Method.SAMPLED:
        assert seen[-1][0] <= (record.usage.block_io_read_bytes or 0)
        assert seen[-1][1] <= (record.usage.block_io_write_bytes or 0)


def shown(running: Running) -> int:
    last = running.watched.curve.last if running.watched else None
    assert last
    assert last.block_io_write_bytes is not None
    return last.block_io_write_bytes
