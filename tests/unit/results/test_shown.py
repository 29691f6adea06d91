"""How values look on a page."""

import unicodedata

import pytest

from scriptfleet.domain.usage import MEASURES, Usage
from scriptfleet.results import shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),  # noqa: RUF001
        (0.0, "0 ms"),
        (0.0124, "12 ms"),
        (1.5, "1.50 s"),
        (99.994, "99.99 s"),
        (100.4, "1 min 40 s"),
        (3599.6, "1 h 00 min"),
        (7384, "2 h 03 min"),
    ],
)
def test_a_duration_has_the_unit_that_people_would_use(seconds: float | None, text: str) -> None:
    assert shown.duration(seconds) == text


def test_control_characters_become_visible_and_lines_and_tabs_stay() -> None:
    assert shown.printable("a\tb\r\nc\rd\x1b[31m\x07\0\x7f\x9b") == "a\tb\nc␍d␛[31m␇␀␡<U+009B>"


def test_characters_that_turn_the_text_around_them_become_visible() -> None:
    assert shown.printable("\u202etxt.exe\u2066 \u200b \ufeff") == "<U+202E>txt.exe<U+2066> <U+200B> <U+FEFF>"


def test_no_control_character_at_all_is_left() -> None:
    everything = "".join(chr(code) for code in range(0x3000) if chr(code) not in "\t\n")

    left = {char for char in shown.printable(everything) if unicodedata.category(char) in {"Cc", "Zl", "Zp"}}

    assert left == set()


def test_bytes_that_are_no_text_become_replacement_characters() -> None:
    assert shown.printable_bytes(b"ok \xff\xfe") == "ok \ufffd\ufffd"


def test_every_measure_has_a_row_with_its_unit_and_method() -> None:
    usage = Usage(user_time_seconds=0.25, cpu_method="cgroup2", block_io_read_bytes=1234567, success=False)

    rows = {name: rest for name, *rest in shown.measure_rows(usage)}

    assert set(rows) == {name for name in MEASURES if not name.endswith("_method")}
    assert rows["user_time_seconds"] == ["0.25", "s", "cgroup2"]
    assert rows["block_io_read_bytes"] == ["1,234,567", "bytes", ""]
    assert rows["success"] == ["no", "", ""]
    assert rows["cpu_max"] == ["–", "", ""]  # noqa: RUF001


def test_what_the_control_group_alone_tells_is_shown_with_its_method() -> None:
    usage = Usage(memory_charged_max_mb=64.0, io_stalled_seconds=0.5, cpu_method="cgroup2", memory_method="sampled")

    rows = {name: rest for name, *rest in shown.measure_rows(usage)}

    assert rows["memory_charged_max_mb"] == ["64", "MiB", "cgroup2"]
    assert rows["io_stalled_seconds"] == ["0.5", "s", "cgroup2"]


def test_what_a_script_reported_is_shown_under_its_name() -> None:
    rows = shown.measure_rows(Usage(custom={"rows\x1b": 3.0}))

    assert rows[-1] == ("custom.rows␛", "3", "", "")
