"""The load of queues: what the broker says of it, and how it is shown on /metrics and to KEDA."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families as parse_text

from scriptfleet.config import Settings
from scriptfleet.domain.ids import new_run_id
from scriptfleet.domain.worker_state import WorkerState
from scriptfleet.errors import BrokerUnreachable
from scriptfleet.queues import drafts
from scriptfleet.queues.claims import Claims
from scriptfleet.queues.client import Broker, Client
from scriptfleet.queues.fleet import Presence, SignOfLife
from scriptfleet.queues.load import Loads, QueueLoad
from scriptfleet.queues.queue_control import QueueControl
from tests.results_service import Service


@pytest.fixture
def broker(redis_client: redis.Redis, redis_url: str, tmp_path: Path) -> Iterator[Broker]:
    made = Broker(Settings(tmp_path, redis_url=redis_url))
    yield made
    made.redis.close()


@pytest.fixture
def client(broker: Broker) -> Client:
    return Client(settings=broker.settings)


def joined(
    broker: Broker, name: str, queues: list[str], slots: int = 4, state: WorkerState = WorkerState.READY
) -> None:
    Presence(broker.redis, broker.keys, name).tell(SignOfLife("host-1", slots, 0, queues, "0.1.0", state=state))


def test_load_is_jobs_over_slots_with_delayed_ones_apart(broker: Broker, client: Client) -> None:
    joined(broker, "w1", ["default", "reports"])
    joined(broker, "w2", ["default"], slots=2)
    for _ in range(9):
        client.submit_shell("true")
    Claims(broker.redis, broker.keys, "w1", 60).claim(client.submit_shell("true").id, new_run_id())
    client.submit_shell("true", not_before=4_000_000_000)

    loads = Loads(broker).all()

    found = loads["default"]
    assert (found.running, found.queued, found.delayed, found.slots, found.workers) == (1, 9, 1, 6, 2)
    assert found.load == 10 / 6
    assert loads["reports"] == QueueLoad(slots=4, workers=1)


def test_without_a_slot_each_job_counts_as_one(broker: Broker, client: Client) -> None:
    for _ in range(3):
        client.submit_shell("true", queue="night")

    assert Loads(broker).all()["night"].load == 3


def test_workers_that_leave_have_no_slots_to_give(broker: Broker) -> None:
    for name, state in (("w1", WorkerState.DRAINING), ("w2", WorkerState.CORDONED), ("w3", WorkerState.THROTTLED)):
        joined(broker, name, ["default"], state=state)

    assert Loads(broker).all()["default"].slots == 4


def test_a_paused_queue_asks_for_no_more_workers(broker: Broker, client: Client) -> None:
    client.submit_shell("true")
    QueueControl(broker, "default").pause()

    found = Loads(broker).all()["default"]

    assert (found.queued, found.is_paused, found.jobs, found.load) == (1, True, 0, 0)


def test_the_oldest_wait_is_that_of_the_job_that_was_ready_first(broker: Broker, client: Client) -> None:
    jobs = [client.submit_shell("true") for _ in range(40)]
    limited = client.submit_shell("true", queue="lanes", group="etl")
    now = broker.redis.time()[0] * 1000
    for job in (jobs[30], limited):
        broker.redis.hset(broker.keys("job", job.id), "ready_at", now - 90_000)
    broker.redis.hset(broker.keys("job", jobs[3].id), "ready_at", now - 40_000)

    loads = Loads(broker).all()

    assert 90 <= loads["default"].oldest_wait_seconds < 150
    assert 90 <= loads["lanes"].oldest_wait_seconds < 150


def test_looking_costs_the_server_no_more_with_many_jobs(broker: Broker, client: Client) -> None:
    def looked_up() -> int:
        before = broker.redis.info("commandstats").get("cmdstat_hget", {"calls": 0})["calls"]
        Loads(broker).all()
        return int(broker.redis.info("commandstats")["cmdstat_hget"]["calls"] - before)

    def submit(count: int) -> None:
        client.submit_many([drafts.of_command("true") for _ in range(count)])
        client.submit_many([drafts.of_command("true", not_before=4_000_000_000) for _ in range(count)])

    submit(2_500)
    few = looked_up()
    submit(2_500)

    assert looked_up() == few
    assert Loads(broker).all()["default"].delayed == 5_000


def test_of_very_many_delayed_jobs_the_shares_are_told(broker: Broker, client: Client) -> None:
    for queue, count in (("many", 3_000), ("some", 1_000)):
        made = [drafts.of_command("true", queue=queue, not_before=4_000_000_000) for _ in range(count)]
        client.submit_many(made)

    loads = Loads(broker).all()

    assert loads["many"].delayed + loads["some"].delayed == pytest.approx(4_000, abs=1)
    assert loads["many"].delayed == pytest.approx(3_000, rel=0.1)


def test_a_broker_that_is_away_is_told(tmp_path: Path) -> None:
    with pytest.raises(BrokerUnreachable):
        Loads(Broker(Settings(tmp_path, redis_url="unix:///nowhere/redis.sock"))).all()


def test_one_queue_is_told_as_json(service: Service) -> None:
    assert service.client.get("/api/v1/queues/default/load").json() == {
        "queue": "default",
        "running": 1,
        "queued": 7,
        "delayed": 7,
        "jobs": 8,
        "slots": 8,
        "workers": 2,
        "load": 1.0,
        "oldest_wait_seconds": 12.5,
        "is_paused": False,
    }


def test_all_queues_are_told_as_json(service: Service) -> None:
    assert [one["queue"] for one in service.client.get("/api/v1/load").json()["queues"]] == ["default"]


def test_a_queue_that_was_never_used_is_idle_and_a_name_that_cannot_be_is_refused(service: Service) -> None:
    found = service.client.get("/api/v1/queues/new/load").json()
    assert (found["load"], found["jobs"], found["slots"]) == (0, 0, 0)
    answer = service.client.get("/api/v1/queues/no such/load")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")


def test_while_the_broker_is_away_no_number_is_made_up(service: Service) -> None:
    service.fleet.is_away = True

    answer = service.client.get("/api/v1/queues/default/load")
    assert (answer.status_code, answer.json()["code"]) == (503, "broker_unreachable")
    assert "scriptfleet_queue_load" not in service.client.get("/metrics").text


def test_prometheus_is_told_the_same(service: Service) -> None:
    found = {
        sample.name: sample.value
        for family in parse_text(service.client.get("/metrics").text)
        for sample in family.samples
        if sample.labels == {"queue": "default"}
    }

    assert found == {
        "scriptfleet_queue_load": 1.0,
        "scriptfleet_queue_slots": 8,
        "scriptfleet_queue_oldest_wait_seconds": 12.5,
    }
