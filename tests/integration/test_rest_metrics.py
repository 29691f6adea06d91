"""Metrics over REST, on every kind of database."""

from collections.abc import Iterator

import pytest

from scriptfleet.storage.engine import Database
from tests import event_factory as make
from tests.results_service import Service, running


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    with running(database) as found:
        for at in range(5):
            found.store.apply(make.whole_job(at_ms=make.START_MS + at * 60_000))
        yield found


def test_metrics_are_listed_and_given_as_values_buckets_and_aggregates(service: Service) -> None:
    def get(path: str) -> dict:
        answer = service.client.get(f"/api/v1/metrics{path}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    assert {"name": "user_time_seconds", "runs": 5} in get("")["metrics"]
    values = get("/user_time_seconds/values?limit=3&offset=1")["values"]
    assert [one["value"] for one in values] == [1.0, 1.0, 1.0]
    assert values[0]["at"] < values[1]["at"]
    assert [one["count"] for one in get("/custom.rows/buckets?size=1day")["buckets"]] == [5]
    assert get("/user_time_seconds/aggregates?script=hello.sh")["aggregates"]["p95"] == 1.0
    assert get("/user_time_seconds/aggregates?name=other")["aggregates"]["count"] == 0


@pytest.mark.parametrize("path", ["/nonsense/values", "/cpu_avg/buckets?size=1year", "/cpu_avg/aggregates?label=x"])
def test_what_is_no_metric_or_no_filter_is_refused(service: Service, path: str) -> None:
    answer = service.client.get(f"/api/v1/metrics{path}")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")
