"""Readings of processes that sleep: each is counted, and what was not looked at again shows nothing else."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scriptfleet.domain.limits import Limits
from scriptfleet.execution.monitor.procfs import TreeReader
from scriptfleet.execution.monitor.watched import Watched
from tests.eventually import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="readings are of /proc")

#: Opens as many files as it is asked for, and sleeps until it is asked again.
SCRIPT = "held = []\nwhile True: held += [open('/dev/null') for _ in range(int(input()))]; print('done', flush=True)"
WRITES = "import os; os.write(1, bytes(1 << 20)); os.fsync(1); os.write(2, open('/proc/self/io', 'rb').read())"
#: Starts that script as a shim would, has no other child but the one that writes, and passes on what it is asked.
SHIM = """
import subprocess, sys
script = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE)
print(script.pid, flush=True)
for line in sys.stdin:
    if line.startswith("/"):
        with open(line.strip(), "wb") as out:
            writes = [sys.executable, "-c", sys.argv[2]]
            said = subprocess.run(writes, stdout=out, stderr=subprocess.PIPE, check=True).stderr
        print(dict(one.split(b": ") for one in said.splitlines())[b"write_bytes"].decode(), flush=True)
    else:
        script.stdin.write(line.encode())
        script.stdin.flush()
script.kill()
script.wait()
"""
#: More than are counted at once, and than come between two looks at all.
MANY = 120


class Script:
    """A process that is watched below the one that started it."""

    def __init__(self) -> None:
        command, pipe = [sys.executable, "-c", SHIM, SCRIPT, WRITES], subprocess.PIPE
        self.shim = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1)
        self.pid = int(self._answer())
        self.run: Any = SimpleNamespace(
            started_at=time.monotonic(), main_pid=self.pid, group=None, limits=Limits(), masks=()
        )
        self.tree = TreeReader(self.shim.pid)
        self.watched = Watched(self.run, self.tree, None, None)

    def hold(self, files: int) -> None:
        """Have it open so many files more."""
        assert self._asked(str(files)) == "done\n"

    def write(self, path: Path) -> int:
        """Have another process write to a file and end; give how many bytes of storage that were."""
        return int(self._asked(str(path)))

    def end(self) -> None:
        """End it, and what started it."""
        self.tree.close()
        self.shim.communicate()

    def _asked(self, line: str) -> str:
        assert self.shim.stdin
        self.shim.stdin.write(f"{line}\n")
        return self._answer()

    def _answer(self) -> str:
        assert self.shim.stdout
        return self.shim.stdout.readline()

    def settle(self) -> None:
        """Read it until it sleeps."""
        # Having answered it runs on until it waits for the next line.
        eventually(lambda: Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S")
        seen: list[object] = [None]

        def sleeps() -> bool:
            # On a busy machine one that was set aside for others stands as still.
            is_waiting = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"
            self.watched.read()
            seen.append(self.tree.read())
            return is_waiting and seen[-1] is seen[-2]

        eventually(sleeps, within=60)

    def read(self, times: int) -> None:
        """Take readings."""
        for _ in range(times):
            self.watched.read()

    def points(self) -> list[tuple[float, float, float]]:
        """Give moment, CPU and memory of each point of its curve."""
        return [(one.seconds, one.cpu_percent, one.memory_mb) for one in self.watched.curve.points()]


@pytest.fixture
def script() -> Iterator[Script]:
    made = Script()
    made.hold(0)
    yield made
    made.end()


def test_each_reading_of_a_process_that_sleeps_is_a_point_of_the_curve(script: Script) -> None:
    script.settle()
    before = script.points()
    script.read(MANY)
    added = script.points()[len(before) :]

    assert len(added) == MANY
    assert [seconds for seconds, _, _ in added] == sorted(seconds for seconds, _, _ in added)
    assert {cpu for _, cpu, _ in added} == {0.0}
    assert {memory for _, _, memory in added} == {before[-1][2]}
    assert script.watched.rss_avg_bytes == pytest.approx(before[-1][2] * 2**20, rel=0.2)


def test_files_that_were_opened_before_it_slept_are_counted(script: Script) -> None:
    script.settle()
    script.read(MANY)
    before = script.watched.files
    script.hold(50)
    script.settle()
    script.read(10)

    assert script.watched.files == before + 50


def test_a_picture_of_processes_that_sleep_is_taken_once(script: Script) -> None:
    script.run.started_at -= 1
    script.settle()
    # The first may be of a moment before it slept.
    script.run.started_at -= 10
    script.read(1)
    kept = script.watched.snapshots.kept
    script.run.started_at -= 10
    script.read(1)

    assert kept is not None
    assert script.watched.snapshots.kept is kept
    script.hold(1)
    script.read(1)
    assert script.watched.snapshots.kept is not kept


def test_what_is_over_before_it_is_seen_is_told_of_though_the_others_sleep(script: Script, tmp_path: Path) -> None:
    script.settle()
    script.read(MANY)
    written = script.write(tmp_path / "out")

    def shown() -> int:
        script.watched.read()
        assert script.watched.curve.last
        return script.watched.curve.last.block_io_write_bytes or 0

    eventually(lambda: shown() >= written)
