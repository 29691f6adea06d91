"""What the page of a script makes of its runs."""

import pytest

from scriptfleet.domain.percentile import percentile
from scriptfleet.results.pages.script_history import shaded, width_of
from scriptfleet.storage.bands import Band


def test_percentiles_lie_between_values_in_proportion() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.5
    assert percentile([7.0], 0.95) == 7.0
    assert percentile([0.0, 10.0], 0.95) == pytest.approx(9.5)


@pytest.mark.parametrize("span", [0.0, 1.0, 99.0, 100.0, 3600.0, 86_400.0, 365 * 86_400.0, 60 * 365 * 86_400.0])
def test_a_trend_has_at_most_some_hundred_points_whatever_the_range(span: float) -> None:
    assert span / width_of(span) <= 100


def test_the_hour_of_most_runs_is_the_darkest_and_one_without_any_is_empty() -> None:
    cells = shaded({3: Band(10, 1.0, 2.0), 6 * 24: Band(1, None, None)})

    assert len(cells) == 7 * 24
    assert (cells[3].count, cells[3].wall_seconds, cells[3].shade) == (10, 1.0, 5)
    assert (cells[6 * 24].shade, cells[6 * 24].wall_seconds, cells[4].shade) == (1, None, 0)
    assert shaded({})[0].shade == 0
