"""What Prometheus scrapes."""

import dataclasses
import json
from contextlib import closing

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from scriptfleet.config import load_settings
from scriptfleet.domain.state import State
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.engine import open_store
from tests import event_factory as make
from tests.results_service import Service, running


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

    assert labels <= {"outcome", "kind", "le", "queue", "state", "script"}


def by_script(service: Service, name: str, **more: str) -> dict[str, float]:
    """Give the values of a metric by script."""
    found = {labels: value for (of, labels), value in scrape(service).items() if of == f"scriptfleet_script_{name}"}
    return {dict(labels)["script"]: value for labels, value in found.items() if more.items() <= dict(labels).items()}


def test_each_script_has_its_outcomes_its_cost_and_its_last_run(service: Service) -> None:
    nightly, hourly = make.shell_spec("nightly.sh"), make.shell_spec("hourly.sh")
    later = make.START_MS + 3_600_000
    take(service, [*make.whole_job(nightly), *make.whole_job(hourly)])
    take(service, make.whole_job(nightly, State.FAILED, at_ms=later, execution_time_seconds=4.0, memory_max_mb=8.0))

    assert by_script(service, "runs_total", outcome="succeeded") == {"nightly.sh": 1, "hourly.sh": 1}
    assert by_script(service, "runs_total", outcome="failed") == {"nightly.sh": 1}
    assert by_script(service, "duration_seconds_total") == {"nightly.sh": 5.5, "hourly.sh": 1.5}
    assert by_script(service, "cpu_seconds_total") == {"nightly.sh": 2.5, "hourly.sh": 1.25}
    mib = 1024 * 1024
    assert by_script(service, "last_memory_max_bytes") == {"nightly.sh": 8 * mib, "hourly.sh": 48.5 * mib}
    first_end, last_end = make.START_MS / 1000 + 3, later / 1000 + 3
    assert by_script(service, "last_end_timestamp_seconds") == {"nightly.sh": last_end, "hourly.sh": first_end}
    assert by_script(service, "last_success_timestamp_seconds") == {"nightly.sh": first_end, "hourly.sh": first_end}


def test_a_record_that_comes_late_takes_no_last_run_back(service: Service) -> None:
    spec, late = make.shell_spec("nightly.sh"), make.START_MS - 60_000
    take(service, [*make.whole_job(spec), *make.whole_job(spec, at_ms=late, memory_max_mb=900.0)])

    assert by_script(service, "last_end_timestamp_seconds") == {"nightly.sh": make.START_MS / 1000 + 3}
    assert by_script(service, "last_success_timestamp_seconds") == {"nightly.sh": make.START_MS / 1000 + 3}
    assert by_script(service, "last_memory_max_bytes") == {"nightly.sh": 48.5 * 1024 * 1024}


def test_a_run_whose_cost_is_unknown_is_counted_and_spoils_nothing(service: Service) -> None:
    spec = make.shell_spec("nightly.sh")
    unknown = {"execution_time_seconds": float("nan"), "user_time_seconds": None, "memory_max_mb": None}
    take(service, [*make.whole_job(spec), *make.whole_job(spec, State.REJECTED, **unknown)])
    take(service, [make.finished(make.record("job", "run"))])

    assert by_script(service, "runs_total", outcome="rejected") == {"nightly.sh": 1}
    assert by_script(service, "duration_seconds_total") == {"nightly.sh": 1.5, "unknown": 1.5}
    assert by_script(service, "cpu_seconds_total")["nightly.sh"] == 1.25
    assert by_script(service, "last_memory_max_bytes")["nightly.sh"] == 48.5 * 1024 * 1024


def test_scripts_beyond_the_cap_count_as_one_and_no_counter_goes_down(sqlite_url: str) -> None:
    with closing(open_store(sqlite_url)) as database, running(database, metrics_scripts=2) as service:
        before: dict[str, float] = {}
        for name in ["a", "b", "c", "b", "other", *(f"d{at}" for at in range(20)), "a"]:
            take(service, make.whole_job(make.shell_spec(name)))
            now = by_script(service, "runs_total")
            assert all(now[script] >= count for script, count in before.items())
            before = now

        assert before == {"a": 2, "b": 2, "other": 22}
        assert by_script(service, "duration_seconds_total")["other"] == 22 * 1.5
        assert set(by_script(service, "last_end_timestamp_seconds")) == {"a", "b"}


def named_past_the_client(name: str) -> list[make.Event]:
    """Give the events of a job whose name no client would take, as whoever writes to the broker can make them."""
    submitted, *others = make.whole_job()
    spec = json.dumps({**json.loads(submitted.data["spec"]), "name": name})
    return [dataclasses.replace(submitted, data={**submitted.data, "spec": spec}), *others]


def test_hostile_names_are_cut_to_a_line_and_parse(service: Service) -> None:
    names = ["x" * 5000, 'a"b\\c\n} 1\nscriptfleet_fake 5', "\x1b[2Jred\u202e\x85", "\ud800\u2028é", "\x00", "\n \t"]
    take(service, [event for name in names for event in named_past_the_client(name)])

    found = by_script(service, "runs_total")

    assert sum(found.values()) == len(names)
    assert all(label.isprintable() and 0 < len(label) <= 128 for label in found)
    assert 'a"b\\c } 1 scriptfleet_fake 5' in found
    assert "scriptfleet_fake" not in {name for name, _ in scrape(service)}
    openmetrics = service.client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}).text
    assert "scriptfleet_script_runs" in {family.name for family in parse_openmetrics(openmetrics)}


def test_a_cap_of_none_gives_nothing_by_script(sqlite_url: str) -> None:
    with closing(open_store(sqlite_url)) as database, running(database, metrics_scripts=0) as service:
        take(service, make.whole_job())

        assert not [name for name, _ in scrape(service) if name.startswith("scriptfleet_script_")]
        assert scrape(service)["scriptfleet_run_duration_seconds_count", ()] == 1


def test_the_cap_is_a_whole_number() -> None:
    assert load_settings({}).metrics_scripts == 100
    assert load_settings({"SCRIPTFLEET_METRICS_SCRIPTS": "7"}).metrics_scripts == 7
    with pytest.raises(InvalidValue, match="SCRIPTFLEET_METRICS_SCRIPTS"):
        load_settings({"SCRIPTFLEET_METRICS_SCRIPTS": "many"})
