"""Storage I/O of a tree, read from a recorded /proc; what may not be seen is unknown, and no zero."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scriptfleet.domain.limits import Limits
from scriptfleet.execution.monitor.procfs import TreeReader
from scriptfleet.execution.monitor.tree import IoBytes
from scriptfleet.execution.monitor.watched import Watched
from tests.unit.execution.test_parts import recorded

SHIM, SCRIPT, CHILD = 1, 2, 3


def say(path: Path, read: int, written: int, calls: int = 7) -> None:
    path.write_text(
        f"rchar: {calls}\nwchar: {calls}\nsyscr: {calls}\nsyscw: {calls}\n"
        f"read_bytes: {read}\nwrite_bytes: {written}\ncancelled_write_bytes: 512\n"
    )


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A shim whose own output took 4096 bytes, which started a script, which started a child."""
    recorded(tmp_path, SHIM, f"{SCRIPT}")
    recorded(tmp_path, SCRIPT)
    (tmp_path / "2" / "task" / "9").mkdir()
    (tmp_path / "2" / "task" / "9" / "children").write_text(f"{CHILD}")
    recorded(tmp_path, CHILD)
    (tmp_path / "loadavg").write_text("0.1 0.1 0.1 1/80 3\n")
    say(tmp_path / "1" / "io", 0, 4096)
    say(tmp_path / "1" / "task" / "1" / "io", 0, 4096)
    say(tmp_path / "2" / "io", 100, 200)
    say(tmp_path / "3" / "io", 10, 20)
    return tmp_path


def watched(proc: Path) -> Watched:
    run: Any = SimpleNamespace(started_at=0.0, main_pid=SCRIPT, group=None, limits=Limits(), masks=())
    return Watched(run, TreeReader(SHIM, str(proc)), None, None)


def told(one: Watched) -> tuple[int | None, int | None]:
    one.read()
    assert one.curve.last
    return one.curve.last.block_io_read_bytes, one.curve.last.block_io_write_bytes


def test_what_all_processes_read_and_wrote_adds_up(proc: Path) -> None:
    run = watched(proc)

    assert told(run) == (110, 220)
    say(proc / "3" / "io", 30, 20, calls=8)
    assert told(run) == (130, 220)


def test_what_an_orphan_did_stays_when_the_shim_has_waited_for_it(proc: Path) -> None:
    run = watched(proc)
    told(run)
    # What the shim writes itself, as the script's output, is none of it.
    say(proc / "1" / "io", 10, 4096 + 8192 + 50)
    say(proc / "1" / "task" / "1" / "io", 0, 4096 + 8192)
    (proc / "2" / "task" / "9" / "children").write_text("")
    (proc / "3" / "statm").write_text("0 0 0 0 0 0 0\n")

    assert told(run) == (110, 250)


@pytest.mark.parametrize("hidden", ["2/io", "3/io", "1/io", "1/task/1/io"])
def test_where_io_may_not_be_seen_it_is_unknown(proc: Path, hidden: str) -> None:
    (proc / hidden).unlink()

    assert told(watched(proc)) == (None, None)


def test_a_kernel_that_does_not_account_io_says_none(proc: Path) -> None:
    (proc / "2" / "io").write_text("rchar: 7\nwchar: 7\n")
    tree = TreeReader(SHIM, str(proc))

    assert (tree.read()[SCRIPT].io, tree.read()[CHILD].io, tree.ended_io()) == (None, IoBytes(10, 20), IoBytes(0, 0))
    tree.close()
