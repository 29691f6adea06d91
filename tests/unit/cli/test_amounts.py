from collections.abc import Callable

import pytest

from scriptfleet.cli.amounts import (
    NotAccepted,
    count,
    days,
    duration,
    every,
    factor,
    header,
    interval,
    names,
    pair,
    percent,
    port,
    priority,
    size,
    span,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("1d", 86_400), ("250ms", 0.25), (".5", 0.5), (" 3 ", 3)],
)
def test_durations_are_read_in_every_unit(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-5", "5 parsecs", "1h30", "nan", "inf", "1e3", "s", "9" * 400])
def test_what_is_no_duration_is_refused_by_value(text: str) -> None:
    with pytest.raises(NotAccepted, match="expected a time such as"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "size_bytes"), [("64K", 65_536), ("256M", 1 << 28), ("1.5g", 3 << 29), ("2GiB", 2 << 30), ("1MB", 1 << 20)]
)
def test_sizes_are_read_in_powers_of_1024(text: str, size_bytes: int) -> None:
    assert size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "256", "-1M", "M", "1X", "1 M"])
def test_a_size_without_its_unit_is_refused(text: str) -> None:
    with pytest.raises(NotAccepted, match="expected a size such as"):
        size(text)


@pytest.mark.parametrize("text", ["-1", "65536", "http", "", "\u0661"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(NotAccepted, match="expected a port"):
        port(text)


@pytest.mark.parametrize("text", ["0", "-1", "two", "1000001"])
def test_a_count_begins_at_one(text: str) -> None:
    with pytest.raises(NotAccepted, match="from 1"):
        count(text)


@pytest.mark.parametrize(("text", "read"), [("1000001", count), ("36501", days), ("9" * 5000, count), ("0", days)])
def test_what_is_too_much_is_told_with_the_most(text: str, read: Callable[[str], int]) -> None:
    most = "1,000,000" if read is count else "36,500"
    with pytest.raises(NotAccepted, match=f"from 1 to {most}"):
        read(text)


@pytest.mark.parametrize("read", [span, every])
def test_a_time_that_must_pass_is_above_0(read: Callable[[str], float]) -> None:
    with pytest.raises(NotAccepted, match="above 0"):
        read("0s")


def test_the_value_of_a_pair_may_be_empty_and_may_hold_equals_signs() -> None:
    assert pair("A=") == ("A", "")
    assert pair("A=b=c d") == ("A", "b=c d")


@pytest.mark.parametrize("text", ["A", "=b", ""])
def test_a_pair_needs_a_name_and_an_equals_sign(text: str) -> None:
    with pytest.raises(NotAccepted, match="NAME=VALUE"):
        pair(text)


def test_names_are_parted_by_commas_and_trimmed() -> None:
    assert names(" numpy, pandas.io ,") == ("numpy", "pandas.io")
    with pytest.raises(NotAccepted, match="names with commas"):
        names(" , ")


def test_the_value_of_a_header_may_hold_colons() -> None:
    assert header("Referer: https://x.example/") == ("Referer", "https://x.example/")
    with pytest.raises(NotAccepted, match="NAME: VALUE"):
        header("no colon")


@pytest.mark.parametrize("text", ["0", "100.5", "-1", "half", "", "nan"])
def test_what_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(NotAccepted, match="above 0, at most 100"):
        percent(text)


def test_percentages_and_factors_are_plain_numbers() -> None:
    assert (percent("85.5"), percent("100"), factor("1.5"), factor("0")) == (85.5, 100.0, 1.5, 0.0)
    with pytest.raises(NotAccepted, match="expected a number such as"):
        factor("1e3")


@pytest.mark.parametrize("text", ["0", "5ms", "2h", "often"])
def test_readings_come_neither_too_often_nor_too_seldom(text: str) -> None:
    with pytest.raises(NotAccepted):
        interval(text)


@pytest.mark.parametrize("text", ["3651d", "99999999999999d"])
def test_a_duration_is_ten_years_at_most(text: str) -> None:
    with pytest.raises(NotAccepted, match="at most 3650d"):
        duration(text)


def test_a_size_is_a_pebibyte_at_most() -> None:
    assert size("1024T") == 1 << 50
    with pytest.raises(NotAccepted, match="at most 1024T"):
        size("1025T")


@pytest.mark.parametrize("text", ["*/5 * * * *", "0 3 * * 1", "@daily"])
def test_cron_expressions_are_told_apart_from_intervals(text: str) -> None:
    with pytest.raises(NotAccepted, match="cron expressions are not supported yet"):
        every(text)


def test_a_priority_that_is_no_number_is_told_with_its_range() -> None:
    with pytest.raises(NotAccepted, match="from 0 to 9"):
        priority("x")
