"""Since when a script has been slower."""

import random

import pytest

from scriptfleet.domain.regression import WINDOW, regressions


def test_a_step_up_that_lasts_is_found_where_it_begins() -> None:
    [found] = regressions([1.0, 1.1, 0.9, 1.0, 1.1, 1.0, 2.0, 2.1, 1.9, 2.0, 2.2, 2.0])

    assert found.place == 6
    assert found.before == pytest.approx(1.0)
    assert found.ratio == pytest.approx(2.0)


@pytest.mark.parametrize(
    "medians",
    [
        [],
        [1.0] * 40,
        [1.0] * 10 + [9.0] + [1.0] * 10,
        [2.0] * 10 + [1.0] * 10,
        [1.0] * 10 + [1.1] * 10,
        [1.0] * WINDOW + [5.0] * (WINDOW - 1),
        [0.0] * 12,
    ],
)
def test_what_is_level_short_small_or_faster_is_no_regression(medians: list[float]) -> None:
    assert regressions(medians) == []


def test_each_of_two_steps_is_told() -> None:
    assert [one.place for one in regressions([1.0] * 8 + [2.0] * 8 + [4.0] * 8)] == [8, 16]


def test_chance_alone_is_seldom_taken_for_a_regression() -> None:
    draw = random.Random(5)

    told = [bool(regressions([draw.gauss(10, 1) for _ in range(60)])) for _ in range(200)]

    assert sum(told) <= 10
