"""A worker tells supervisors and Prometheus how it is."""

import re

import httpx
from prometheus_client.parser import text_string_to_metric_families

from scriptfleet.domain.state import State
from tests.e2e.test_drain import LONG, running, said_of, scriptfleet
from tests.eventually import eventually
from tests.fleet_parts import Fleet, Process, stopped

SERVED = {"SCRIPTFLEET_WORKER_HEALTH_PORT": "0"}


def url_of(worker: Process) -> str:
    return eventually(lambda: re.findall(r"health_served url=(\S+)", worker.log()))[0]


def metrics_of(url: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics", timeout=60).text)
    return {
        sample.name: {tuple(sorted(one.labels.items())): one.value for one in family.samples}
        for family in families
        for sample in family.samples
    }


def test_a_worker_that_takes_jobs_is_alive_and_ready_and_counts_its_runs(fleet: Fleet) -> None:
    url = url_of(fleet.worker("w1", env=SERVED))
    assert fleet.client().submit_shell("true").wait(60) is State.SUCCEEDED
    assert fleet.client().submit_shell("false").wait(60) is State.FAILED

    assert (httpx.get(f"{url}/livez", timeout=60).status_code, httpx.get(f"{url}/readyz", timeout=60).status_code) == (
        200,
        200,
    )
    assert httpx.get(f"{url}/elsewhere", timeout=60).status_code == 404
    assert httpx.head(f"{url}/readyz").text == ""
    found = eventually(lambda: metrics_of(url))
    eventually(lambda: metrics_of(url)["scriptfleet_worker_runs_total"][(("outcome", "failed"),)] == 1)
    assert found["scriptfleet_worker_slots"][()] == 2
    assert found["scriptfleet_worker_state"][(("state", "ready"),)] == 1
    assert 0 <= found["scriptfleet_worker_canary_age_seconds"][()] < 60
    assert found["process_resident_memory_bytes"][()] > 10e6


def test_a_cordoned_and_a_draining_worker_are_alive_and_not_ready(fleet: Fleet) -> None:
    worker = fleet.worker("w1", env=SERVED | LONG)
    url = url_of(worker)
    running(fleet, "health-1")

    scriptfleet(fleet, "workers", "cordon", "w1")
    eventually(lambda: httpx.get(f"{url}/readyz", timeout=60).status_code == 503)
    assert httpx.get(f"{url}/readyz", timeout=60).text == "it is cordoned\n"
    scriptfleet(fleet, "workers", "drain", "w1")
    eventually(lambda: httpx.get(f"{url}/readyz", timeout=60).text == "it is draining\n")
    assert httpx.get(f"{url}/livez", timeout=60).status_code == 200
    worker.end()


def test_without_a_port_nothing_is_served(fleet: Fleet) -> None:
    assert "health_served" not in fleet.worker("w1").log()


def test_the_canary_is_no_job_and_leaves_nothing_behind(fleet: Fleet) -> None:
    worker = fleet.worker("w1")
    broker = fleet.client().broker
    key = broker.keys.celery_prefix + "canary." + said_of(fleet, "w1").name
    eventually(lambda: broker.redis.exists(broker.keys("window", "default")))
    assert said_of(fleet, "w1").queues == ["default"]

    with stopped(worker):
        assert broker.redis.llen(key) <= 1
    worker.end()

    assert not broker.redis.exists(key)
    assert list(broker.redis.scan_iter(f"{broker.keys.celery_prefix}_kombu.binding.*canary*")) == []
