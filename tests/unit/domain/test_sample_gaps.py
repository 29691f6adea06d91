"""Where a curve lacks samples."""

from scriptfleet.domain.sample_gaps import gaps_of


def test_a_curve_that_grows_older_and_slower_has_no_gap() -> None:
    young = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, *(0.16 + 0.1 * at for at in range(1, 49))]
    old = [5.0 + at for at in range(1, 60)]

    assert gaps_of([*young, *old]) == []
    assert gaps_of([*young, *old][::2]) == []
    assert gaps_of([]) == gaps_of([1.0]) == gaps_of([1.0, 2.0]) == []


def test_samples_that_did_not_come_are_counted_where_they_are_missed() -> None:
    (gap,) = gaps_of([*map(float, range(10)), *map(float, range(20, 30))])

    assert (gap.at, gap.seconds, gap.samples) == (9, 11.0, 10)


def test_a_sample_that_comes_late_is_not_missed_and_two_gaps_are_told_apart() -> None:
    moments = [0.0, 1.0, 2.0, 3.9, 5.0, 6.0, 7.0, 12.0, 13.0, 14.0, 15.0, 16.0, 21.0, 22.0, 23.0, 24.0]

    assert [gap.at for gap in gaps_of(moments)] == [6, 11]


def test_moments_that_stand_still_divide_by_nothing() -> None:
    assert gaps_of([1.0, 1.0, 1.0, 1.0]) == []
