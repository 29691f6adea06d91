"""Moments as REST takes them."""

import pytest

from scriptfleet.errors import InvalidValue
from scriptfleet.results.rest.models import seconds_of


@pytest.mark.parametrize(
    "said",
    [
        "1772323200",
        "2026-03-01T00:00:00Z",
        "2026-03-01T01:00:00+01:00",
        "2026-03-01T01:00:00 01:00",
        "2026-03-01T00:00:00.000+00:00",
    ],
)
def test_a_moment_is_iso_8601_or_seconds(said: str) -> None:
    assert seconds_of("since", said) == 1772323200.0


@pytest.mark.parametrize("said", ["", "yesterday", "2026-03-01", "2026-03-01T00:00:00", "nan", "inf", "-1", "1e300"])
def test_a_moment_without_offset_or_out_of_range_is_refused(said: str) -> None:
    with pytest.raises(InvalidValue, match=r"since: .* is not accepted: expected ISO 8601 with offset"):
        seconds_of("since", said)
