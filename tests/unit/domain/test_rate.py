import pytest

from scriptfleet.domain.rate import Rate
from scriptfleet.errors import InvalidValue


@pytest.mark.parametrize(
    ("said", "jobs", "window_seconds"),
    [("10/1m", 10, 60.0), ("100/h", 100, 3600.0), ("5/30s", 5, 30.0), ("1/250ms", 1, 0.25), ("3/1.5s", 3, 1.5)],
)
def test_a_rate_is_jobs_and_a_time(said: str, jobs: int, window_seconds: float) -> None:
    assert Rate.parse("rate_limit", said) == Rate(jobs, window_seconds)


@pytest.mark.parametrize(
    "said",
    ["", "10", "/1m", "10/", "0/1m", "10001/1m", "1/1ms", "1/31d", "1/0s", "-1/1m", "1/1w", "10/1m ", "٣/1m", 7, None],
)
def test_what_is_no_rate_is_refused_by_name(said: object) -> None:
    with pytest.raises(InvalidValue, match="rate_limit"):
        Rate.parse("rate_limit", said)
