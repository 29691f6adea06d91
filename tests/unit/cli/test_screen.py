import pytest

from scriptfleet.cli.screen import cost_facts, cost_lines, mebibytes, moment, seconds
from scriptfleet.domain.state import State
from scriptfleet.domain.usage import Usage


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0.0, "0.000"), (0.0124, "0.012"), (1.006, "1.01"), (99.9, "99.90"), (12345.6, "12346")],
)
def test_seconds_have_the_digits_that_matter(value: float | None, shown: str) -> None:
    assert seconds(value) == shown


def test_an_unknown_measure_is_never_shown_as_zero() -> None:
    assert mebibytes(None) == "-"
    assert cost_lines("x", State.SUCCEEDED, Usage()) == "x: succeeded"
    assert set(cost_facts(Usage()).values()) == {""}


def test_the_cost_has_a_line_of_its_own_where_80_columns_are_too_few() -> None:
    usage = Usage(
        exit_code=1,
        execution_time_seconds=2.0,
        user_time_seconds=0.5,
        system_time_seconds=0.5,
        cpu_avg=50.0,
        memory_max_mb=12.34,
        pids_count=2,
        error_message="ValueError: \x1b[2Jbad",
    )

    assert cost_lines("a\nb", State.FAILED, usage).splitlines() == [
        "a b: failed · exit 1",
        "  wall 2.00 s · CPU 1.00 s (50 %) · peak 12.3 MiB · 2 processes",
        "  ValueError: bad",
    ]


def test_a_short_cost_is_one_line() -> None:
    assert cost_lines("a", State.SUCCEEDED, Usage(exit_code=0, pids_count=1)) == "a: succeeded · exit 0 · 1 process"


def test_a_moment_that_no_calendar_knows_is_still_shown() -> None:
    assert moment(8.64e12) == "8640000000000 s after 1970"
