"""A run beside the usual run of its script."""

from dataclasses import replace

from scriptfleet.domain.usage import Usage
from scriptfleet.domain.usual import beside_usual

USUAL = Usage(
    execution_time_seconds=10.0,
    user_time_seconds=6.0,
    system_time_seconds=0.0,
    queue_wait_seconds=0.1,
    io_stalled_seconds=1.0,
)


def test_what_took_longer_than_usual_comes_first() -> None:
    slow = replace(USUAL, execution_time_seconds=40.0, io_stalled_seconds=30.0, user_time_seconds=7.0)
    outlier = replace(USUAL, execution_time_seconds=1000.0)

    found = beside_usual(slow, [USUAL, USUAL, USUAL, outlier])

    assert found is not None
    assert (found.is_slow, found.ratio, found.usual_seconds, found.runs) == (True, 4.0, 10.0, 4)
    assert [part.what for part in found.parts[:2]] == ["Waited for storage", "Computed"]
    assert found.parts[0].longer_seconds == 29.0
    assert found.parts[-1].what == "Slept, or waited for others"


def test_of_a_run_that_took_as_long_as_usual_nothing_was_slow() -> None:
    found = beside_usual(replace(USUAL, execution_time_seconds=12.0), [USUAL] * 3)

    assert found is not None
    assert not found.is_slow


def test_nothing_is_usual_of_too_few_runs_nor_of_one_that_tells_no_time() -> None:
    assert beside_usual(USUAL, [USUAL] * 2) is None
    assert beside_usual(Usage(), [USUAL] * 9) is None
    assert beside_usual(USUAL, [Usage()] * 9) is None


def test_what_is_not_known_of_either_is_left_out() -> None:
    found = beside_usual(replace(USUAL, io_stalled_seconds=None), [USUAL] * 3)

    assert found is not None
    assert "Waited for storage" not in {part.what for part in found.parts}
