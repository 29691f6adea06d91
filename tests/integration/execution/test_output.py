"""Output is kept as bytes, counted exactly, cut with exact counts, and decoded only on show."""

import hashlib

import pytest

from tests.engine_bench import Bench, kept_output
from tests.eventually import eventually


def test_both_streams_are_kept_apart_and_counted(bench: Bench) -> None:
    record = bench.shell("printf 'a\\nb\\nc'; printf 'x\\n' >&2")
    usage = record.usage

    assert (record.stdout.text, record.stderr.text) == ("a\nb\nc", "x\n")
    assert (usage.stdout_lines, usage.stdout_size_bytes) == (3, 5)
    assert (usage.stderr_lines, usage.stderr_size_bytes) == (1, 2)


def test_no_output_is_zero_and_not_unknown(bench: Bench) -> None:
    usage = bench.shell("true").usage

    assert (usage.stdout_lines, usage.stdout_size_bytes, usage.stderr_lines) == (0, 0, 0)


def test_bytes_that_are_no_text_are_kept_and_shown_with_replacement(bench: Bench) -> None:
    record = bench.python("import os; os.write(1, bytes(range(256)))")

    assert bench.workspace.stdout.read_bytes() == bytes(range(256))
    assert record.stdout.text == bytes(range(256)).decode("utf-8", "replace")


def test_output_up_to_the_cap_is_kept_whole(bench: Bench) -> None:
    record = bench.python("import os; os.write(1, b'x' * 4096)", limits={"output_bytes": 4096})

    assert record.stdout.text == "x" * 4096
    assert record.stdout.cut_bytes == 0


@pytest.mark.parametrize("piece", [1, 100, 70_000])
def test_output_over_the_cap_keeps_its_two_ends_and_tells_what_was_cut(bench: Bench, piece: int) -> None:
    total, cap = 140_000, 4096
    code = f"""
import os
text = b''.join(b'%07d\\n' % number for number in range({total // 8}))
size = max({piece}, 200)
for at in range(0, len(text), size):
    os.write(1, text[at:at + size])
"""
    record = bench.python(code, limits={"output_bytes": cap})
    whole = b"".join(b"%07d\n" % number for number in range(total // 8))
    kept = bench.workspace.stdout.read_bytes()
    head, tail = cap - cap // 4, cap // 4

    note = b"\n[scriptfleet: %d bytes cut here]\n" % (total - cap)
    assert kept == whole[:head] + note + whole[-tail:]
    assert record.stdout.cut_bytes == total - cap
    assert (record.usage.stdout_size_bytes, record.usage.stdout_lines) == (total, total // 8)


def test_much_output_arrives_whole(bench: Bench) -> None:
    size = 9 * 1024 * 1024
    record = bench.python(f"import sys; sys.stdout.buffer.write(bytes(range(256)) * {size // 256})")
    kept = bench.workspace.stdout.read_bytes()

    assert hashlib.sha256(kept).digest() == hashlib.sha256(bytes(range(256)) * (size // 256)).digest()
    assert record.usage.stdout_size_bytes == size
    assert record.stdout.cut_bytes == size - 64 * 1024


def test_output_of_children_belongs_to_the_run(bench: Bench) -> None:
    assert bench.shell("(echo inner; sh -c 'echo innermost') & wait").stdout.text == "inner\ninnermost\n"


def test_what_was_written_right_before_the_end_is_not_lost(bench: Bench) -> None:
    record = bench.python("import os; os.write(1, b'y' * 60000); os.kill(os.getpid(), 9)")

    assert record.usage.stdout_size_bytes == 60_000


def test_output_is_on_disk_while_the_script_still_runs(bench: Bench) -> None:
    seen: list[bytes] = []

    def look(_: object) -> None:
        eventually(lambda: kept_output(bench.workspace.stdout) == b"early\n")
        seen.append(bench.workspace.stdout.read_bytes())
        (bench.workspace.work / "go").touch()

    code = "import os, time\nprint('early')\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
    bench.python(code, on_start=look, timeout=10)

    assert seen == [b"early\n"]


@pytest.mark.parametrize("cap", [4096, 4 * (64 * 1024 - 20), 4 * 64 * 1024, 10_000_000])
def test_what_is_shown_and_what_was_cut_are_together_the_whole_output(bench: Bench, cap: int) -> None:
    """Wherever the note of the cut lies: shown, half shown, or further up."""
    total = 12_000_000
    record = bench.python("import os\nfor _ in range(120): os.write(1, b'x' * 100_000)", limits={"output_bytes": cap})

    assert record.usage.stdout_size_bytes == total
    assert record.stdout.cut_bytes + record.stdout.text.count("x") == total
