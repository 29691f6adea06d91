"""Small parts of the engine: curves, messages, kept output, the cache of scripts, readings of /proc."""

import hashlib
import os
import platform
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptfleet.domain.kinds import Source
from scriptfleet.domain.sample import Sample
from scriptfleet.errors import BlobMissing
from scriptfleet.execution.conclude import TAIL_BYTES, tail_of, this_platform
from scriptfleet.execution.monitor.curve import Curve
from scriptfleet.execution.monitor.procfs import NewestProcess, ProcessReader, TreeReader, read_whole
from scriptfleet.execution.shim import wire
from scriptfleet.execution.shim.capture import Capture
from scriptfleet.execution.shim.tree import children_of
from scriptfleet.execution.workspace import SourceCache
from scriptfleet.queues.bundle import unpack
from tests.engine_bench import kept_output
from tests.eventually import eventually

CONTENT = b"print('hello')\n"
SOURCE = Source(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "file")


def test_a_curve_keeps_every_point_until_it_is_full() -> None:
    curve = Curve(most_points=10)
    for number in range(10):
        curve.add(Sample(number, 0.0, 0.0, 1))

    assert [point[0] for point in curve.points()] == list(range(10))


@given(st.integers(1, 5_000))
def test_a_curve_of_any_length_is_bounded_evenly_spaced_and_begins_at_the_start(count: int) -> None:
    curve = Curve(most_points=20)
    for number in range(count):
        curve.add(Sample(number, 0.0, 0.0, 1))
    moments = [point[0] for point in curve.points()]
    steps = {after - before for before, after in pairwise(moments)}

    assert len(moments) <= 20
    assert moments[0] == 0
    assert len(steps) <= 2


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text()), max_size=5), st.integers(1, 50))
def test_messages_come_out_whole_however_they_arrive(messages: list[dict[str, int | str]], piece: int) -> None:
    sent, inbox, found = b"".join(wire.pack(message) for message in messages), wire.Inbox(), []
    for at in range(0, len(sent), piece):
        found += inbox.feed(sent[at : at + piece])

    assert found == messages


def test_a_length_that_no_message_has_is_refused() -> None:
    with pytest.raises(ValueError, match="bytes"):
        wire.Inbox().feed(b"\xff\xff\xff\xff")


def test_the_shown_end_of_a_long_output_counts_what_it_leaves_out(tmp_path: Path) -> None:
    kept = tmp_path / "stdout"
    kept.write_bytes(b"a" * 100 + b"z" * TAIL_BYTES)
    tail = tail_of(kept, cut_bytes=7)

    assert tail.text == "z" * TAIL_BYTES
    assert tail.cut_bytes == 107


@given(st.lists(st.binary(min_size=1, max_size=3_000), max_size=12), st.integers(1024, 8_000))
def test_captured_output_is_counted_exactly_and_keeps_its_ends(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], cap: int
) -> None:
    path = tmp_path_factory.mktemp("capture") / "out"
    capture = Capture(str(path), cap, None)
    for piece in pieces:
        os.write(capture.write_fd, piece)
        while capture.pump():
            pass
    capture.finish()
    whole, kept, counts = b"".join(pieces), kept_output(path), capture.counts()
    head, tail = cap - cap // 4, cap // 4

    assert counts["size_bytes"] == len(whole)
    assert counts["lines"] == whole.count(b"\n") + (1 if whole and not whole.endswith(b"\n") else 0)
    assert counts["cut_bytes"] == max(0, len(whole) - cap)
    if len(whole) <= cap:
        assert kept == whole
    else:
        assert kept.startswith(whole[:head] + b"\n[scriptfleet: ")
        assert kept.endswith(b" bytes cut here]\n" + whole[-tail:])


def cache_of(folder: Path, content: bytes = CONTENT) -> tuple[SourceCache, list[str]]:
    asked: list[str] = []

    def fetch(sha256: str, _: int) -> bytes:
        asked.append(sha256)
        return content

    return SourceCache(folder / "cache", fetch, unpack), asked


def test_a_script_is_fetched_once(tmp_path: Path) -> None:
    cache, asked = cache_of(tmp_path)
    for run in ("one", "two"):
        cache.fill(SOURCE, "dir/a.py", tmp_path / run)

    assert (tmp_path / "two" / "dir" / "a.py").read_bytes() == CONTENT
    assert len(asked) == 1


@pytest.mark.parametrize("spoilt", [b"", CONTENT[:-1], b"x" * len(CONTENT)])
def test_a_cached_script_that_was_changed_is_fetched_anew(tmp_path: Path, spoilt: bytes) -> None:
    cache, asked = cache_of(tmp_path)
    cache.fill(SOURCE, "a.py", tmp_path / "one")
    (tmp_path / "cache" / SOURCE.sha256).write_bytes(spoilt)
    cache.fill(SOURCE, "a.py", tmp_path / "two")

    assert (tmp_path / "two" / "a.py").read_bytes() == CONTENT
    assert len(asked) == 2


def test_bytes_that_are_not_those_that_were_sent_are_never_run(tmp_path: Path) -> None:
    cache, _ = cache_of(tmp_path, b"something else!")

    with pytest.raises(BlobMissing):
        cache.fill(SOURCE, "a.py", tmp_path / "one")
    assert not (tmp_path / "one").exists()


def test_the_longest_unused_scripts_go_first(tmp_path: Path) -> None:
    cache, _ = cache_of(tmp_path)
    for number in range(4):
        path = tmp_path / "cache" / f"{number}"
        path.write_bytes(b"x" * 100)
        os.utime(path, (1_000 + number, 1_000))

    assert cache.prune(most_bytes=250) == 2
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["2", "3"]


def recorded(proc: Path, pid: int, children: str = "", name: str = "sh") -> None:
    """Record one process: 2 s of user and 1 s of system time, 10 pages, 3 threads."""
    folder = proc / str(pid) / "task" / str(pid)
    folder.mkdir(parents=True)
    (folder / "children").write_text(children)
    tick = os.sysconf("SC_CLK_TCK")
    fields = ["S", "1", *["0"] * 9, str(2 * tick), str(tick), str(tick // 2), "0", "20", "0", "3", *["0"] * 5]
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
    (proc / str(pid) / "statm").write_text("100 10 5 1 0 20 0\n")


@pytest.mark.parametrize("name", ["sh", "a ) b (c", "x" * 15, ") S 1 1"])
def test_a_process_is_read_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    recorded(tmp_path, 7, name=name)
    reader = ProcessReader(7, str(tmp_path))
    reading = reader.read()
    reader.close()

    assert reading is not None
    assert (reading.cpu_seconds, reading.reaped_seconds, reading.threads) == (3.0, 0.5, 3)
    assert reading.rss_bytes == 10 * os.sysconf("SC_PAGE_SIZE")


def test_a_tree_is_read_whole_and_without_its_shim(tmp_path: Path) -> None:
    recorded(tmp_path, 1, "2 3 ")
    recorded(tmp_path, 2, "4")
    recorded(tmp_path, 3, "99")
    recorded(tmp_path, 4)
    (tmp_path / "2" / "task" / "5").mkdir()
    (tmp_path / "2" / "task" / "5" / "children").write_text("6")
    recorded(tmp_path, 6)
    tree = TreeReader(1, str(tmp_path))
    found = tree.read()
    tree.close()

    assert set(found) == {2, 3, 4, 6}


def known_tree(proc: Path, newest: str) -> TreeReader:
    """Give the reader of a tree of one process below the shim, read once; a second one has come since."""
    recorded(proc, 1, "2")
    recorded(proc, 2)
    (proc / "loadavg").write_text(f"0.1 0.1 0.1 1/80 {newest}\n")
    tree = TreeReader(1, str(proc))
    tree.read()
    recorded(proc, 3)
    (proc / "1" / "task" / "1" / "children").write_text("2 3")
    return tree


def test_while_nothing_was_started_on_the_machine_no_process_is_looked_for(tmp_path: Path) -> None:
    tree = known_tree(tmp_path, "2")
    (tmp_path / "2" / "statm").write_text("100 99 5 1 0 20 0\n")

    assert {pid: one.rss_bytes // os.sysconf("SC_PAGE_SIZE") for pid, one in tree.read().items()} == {2: 99}
    (tmp_path / "loadavg").write_text("0.1 0.1 0.1 1/80 3\n")
    assert set(tree.read()) == {2, 3}
    tree.close()


def test_once_a_process_is_gone_the_tree_is_walked_again(tmp_path: Path) -> None:
    tree = known_tree(tmp_path, "2")
    (tmp_path / "2" / "statm").write_text("0 0 0 0 0 0 0\n")

    assert set(tree.read()) == {2, 3}
    tree.close()


def test_a_process_that_was_missed_is_found_after_a_while(tmp_path: Path) -> None:
    tree = known_tree(tmp_path, "2")
    found = [set(tree.read()) for _ in range(50)]
    tree.close()

    assert {2, 3} in found


def test_without_the_number_of_the_newest_process_every_reading_is_a_walk(tmp_path: Path) -> None:
    tree = known_tree(tmp_path, "2")
    (tmp_path / "loadavg").write_text("")

    assert set(tree.read()) == {2, 3}
    tree.close()


def test_what_sleeps_is_not_read_again_and_what_it_starts_is_found_at_once() -> None:
    command = ["sh", "-c", "read go; sleep 60 & read on; kill $!"]
    shell = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, bufsize=1)
    assert shell.stdin is not None
    tree = TreeReader(os.getpid())
    try:
        eventually(lambda: tree.read()[shell.pid] is tree.read()[shell.pid], within=60)
        shell.stdin.write("\n")
        child = eventually(lambda: children_of(shell.pid), within=60)[0]

        assert child in tree.read()
        shell.stdin.write("\n")
        shell.wait(60)
        assert not {child, shell.pid} & tree.read().keys()
    finally:
        tree.close()
        shell.kill()
        shell.wait()
        shell.stdin.close()


def test_the_newest_process_of_this_machine_is_told() -> None:
    newest = NewestProcess()
    before = newest.read()
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)

    assert newest.read() != before
    newest.close()


def test_a_listing_longer_than_a_page_is_read_whole() -> None:
    fd = os.open("/proc/self/maps", os.O_RDONLY)
    whole = read_whole(fd)
    os.close(fd)

    assert len(whole) > os.sysconf("SC_PAGE_SIZE")
    assert whole.rstrip().endswith(b"]")


def test_a_stream_without_output_makes_no_file_and_takes_none_that_the_script_made(tmp_path: Path) -> None:
    path = tmp_path / "stdout"
    capture = Capture(str(path), 1000, None)
    path.write_text("forged")
    capture.finish()

    assert not path.exists()


def test_a_link_that_the_script_put_where_its_output_goes_is_not_followed(tmp_path: Path) -> None:
    path, target = tmp_path / "stdout", tmp_path / "precious"
    target.write_text("precious")
    capture = Capture(str(path), 1000, None)
    path.symlink_to(target)
    os.write(capture.write_fd, b"output")
    capture.finish()

    assert (target.read_text(), path.read_text(), path.is_symlink()) == ("precious", "output", False)


def test_what_is_no_plain_file_is_not_deleted_for_output(tmp_path: Path) -> None:
    path = tmp_path / "stdout"
    os.mkfifo(path)
    capture = Capture(str(path), 1000, None)
    os.write(capture.write_fd, b"output")
    capture.finish()

    assert path.is_fifo()
    assert capture.counts()["cut_bytes"] == 6


@pytest.mark.skipif(sys.platform != "linux", reason="others are asked by the standard library")
def test_the_platform_is_what_the_standard_library_calls_it() -> None:
    """But for the processor, which it asks a program for where the machine's name does not tell."""
    host = platform.uname()
    known = platform.platform().replace(f"-{host.machine}-{host.processor}-", f"-{host.machine}-")

    assert this_platform() == known
