"""What the page of a script makes of its runs."""

import pytest

from scriptfleet.domain.state import State
from scriptfleet.domain.usage import Usage
from scriptfleet.results.pages.script_history import hours, percentile, trend
from scriptfleet.storage.run_store import RunRow

#: A Monday, midnight in UTC.
MONDAY = 1_791_763_200.0


def run(began_at: float, wall: float | None = 1.0) -> RunRow:
    known = dict.fromkeys(RunRow.__dataclass_fields__)
    usage = Usage(execution_time_seconds=wall)
    return RunRow(
        **{**known, "run_id": "r", "job_id": "j", "began_at": began_at, "outcome": State.SUCCEEDED, "usage": usage}
    )


def test_percentiles_lie_between_values_in_proportion() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.5
    assert percentile([7.0], 0.95) == 7.0
    assert percentile([0.0, 10.0], 0.95) == pytest.approx(9.5)


def test_a_trend_goes_from_the_oldest_to_the_newest_in_at_most_sixty_parts() -> None:
    found = trend([run(1000.0 - at, 1000.0 - at) for at in range(500)])

    assert len(found.moments) <= 60
    assert found.moments == sorted(found.moments)
    assert found.p50 == sorted(found.p50)
    assert all(low <= high for low, high in zip(found.p50, found.p95, strict=True))


def test_runs_without_a_time_are_left_out_of_the_trend_and_counted_by_the_hour() -> None:
    runs = [run(MONDAY + 3 * 3600, None), run(MONDAY + 3 * 3600 + 59), run(MONDAY + 6 * 86_400)]

    cells = hours(runs)

    assert len(trend(runs).moments) == 2
    assert (cells[0][3].count, cells[0][3].wall_seconds, cells[0][3].shade) == (2, 1.0, 5)
    assert (cells[6][0].count, cells[6][0].shade, cells[1][0].shade) == (1, 3, 0)
    assert hours([])[0][0].shade == 0
