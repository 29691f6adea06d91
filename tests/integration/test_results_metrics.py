"""What Prometheus scrapes."""

from collections.abc import Iterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from scriptfleet.domain.state import State
from scriptfleet.storage.engine import open_store
from tests import event_factory as make
from tests.results_service import Service, running


@pytest.fixture
def service(sqlite_url: str) -> Iterator[Service]:
    database = open_store(sqlite_url)
    with running(database) as found:
        yield found
    database.close()


def scrape(service: Service) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_text(service.client.get("/metrics").text)
        for sample in family.samples
    }


def take(service: Service, events: list[make.Event]) -> None:
    for run in service.store.apply(events):
        service.metrics.observe(run)


def test_runs_are_counted_by_outcome_and_kind_in_base_units(service: Service) -> None:
    take(service, [*make.whole_job(), *make.whole_job(), *make.whole_job(outcome=State.OUT_OF_MEMORY)])

    found = scrape(service)

    assert found["scriptfleet_runs_total", (("kind", "shell"), ("outcome", "succeeded"))] == 2
    assert found["scriptfleet_runs_total", (("kind", "shell"), ("outcome", "out_of_memory"))] == 1
    assert found["scriptfleet_run_duration_seconds_sum", ()] == 4.5
    assert found["scriptfleet_run_cpu_seconds_sum", ()] == 3.75
    assert found["scriptfleet_run_memory_max_bytes_sum", ()] == 3 * 48.5 * 1024 * 1024
    assert found["scriptfleet_run_memory_max_bytes_bucket", (("le", "6.7108864e+07"),)] == 3


def test_a_repeated_batch_counts_no_run_twice(service: Service) -> None:
    events = make.whole_job()
    take(service, events)
    before = {name: value for name, value in scrape(service).items() if name[0].startswith("scriptfleet_run")}

    take(service, events)
    take(service, events[2:])

    after = {name: value for name, value in scrape(service).items() if name[0].startswith("scriptfleet_run")}
    assert after == before


def test_an_unknown_measure_is_not_observed_as_zero(service: Service) -> None:
    usage = make.usage(execution_time_seconds=None, user_time_seconds=None, memory_max_mb=None)
    take(service, [make.finished(make.record("job", "run", State.REJECTED, usage=usage))])

    found = scrape(service)

    assert found["scriptfleet_runs_total", (("kind", "unknown"), ("outcome", "rejected"))] == 1
    for name in ("duration_seconds", "cpu_seconds", "memory_max_bytes"):
        assert found[f"scriptfleet_run_{name}_count", ()] == 0


def test_a_measure_that_is_no_amount_spoils_no_sum(service: Service) -> None:
    usage = make.usage(execution_time_seconds=float("nan"), user_time_seconds=-5.0, memory_max_mb=float("inf"))
    take(service, [make.finished(make.record("job", "run", usage=usage))])

    found = scrape(service)

    for name in ("duration_seconds", "cpu_seconds", "memory_max_bytes"):
        assert found[f"scriptfleet_run_{name}_sum", ()] == 0


def test_queues_workers_and_backlog_are_as_the_broker_says(service: Service) -> None:
    found = scrape(service)

    depths = {dict(labels)["state"]: value for (name, labels), value in found.items() if name.endswith("queue_depth")}
    assert depths == {"ready": 5, "admitted": 2, "running": 1, "delayed": 7}
    assert found["scriptfleet_workers", ()] == 2
    assert found["scriptfleet_worker_slots", ()] == 8
    assert found["scriptfleet_event_backlog", ()] == 3
    assert found["scriptfleet_events_dead", ()] == 2
    assert found["scriptfleet_ingest_lag_seconds", ()] == 1.5
    assert found["scriptfleet_broker_up", ()] == 1


def test_a_broker_that_is_away_is_told_and_the_rest_is_still_there(service: Service) -> None:
    service.fleet.is_away = True

    found = scrape(service)

    assert found["scriptfleet_broker_up", ()] == 0
    assert ("scriptfleet_workers", ()) not in found
    assert found["scriptfleet_ingest_lag_seconds", ()] == 1.5


def test_openmetrics_is_given_to_who_asks_for_it(service: Service) -> None:
    take(service, make.whole_job())

    answer = service.client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert "scriptfleet_runs" in {family.name for family in parse_openmetrics(answer.text)}


def test_no_label_grows_with_the_number_of_jobs(service: Service) -> None:
    take(service, [event for at in range(20) for event in make.whole_job(make.shell_spec(f"script-{at}.sh"))])

    labels = {name for _, pairs in scrape(service) for name, _ in pairs}

    assert labels <= {"outcome", "kind", "le", "queue", "state"}
