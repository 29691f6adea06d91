"""Events and records of other versions, as a rolling upgrade brings them, through a real broker into a real store."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from scriptfleet.domain.event import EVENT_VERSION, Event
from scriptfleet.domain.state import State
from scriptfleet.queues.events import EventReader
from scriptfleet.queues.keys import Keys
from scriptfleet.results.ingest import Ingest
from scriptfleet.storage.engine import Database
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.job_store import JobStore
from scriptfleet.storage.quick_said import quick_said
from scriptfleet.storage.run_store import RunStore
from tests import event_factory as make
from tests.eventually import eventually

KEYS = Keys("scriptfleet")
JOB, RUN = "0a6e9f0e-5d83-4d0b-8f3c-0c2b9e2a7f10", "a" * 32


@pytest.fixture
def stored(redis_client: redis.Redis, database: Database) -> Iterator[Database]:
    """A database that takes what is sent."""
    ingest = Ingest(
        EventReader(redis_client, KEYS, "one", quick_read=quick_said), IngestStore(database), lambda run: None
    )
    ingest.start()
    yield database
    ingest.stop()


def send(client: redis.Redis, event: Event, version: int = EVENT_VERSION, **more: str) -> None:
    fields = {"v": version, "t": str(event.type), "j": event.job_id, "r": event.revision, "at": event.at_ms, **more}
    client.xadd(KEYS("events"), {**fields, "d": json.dumps(event.data)})


def send_all(client: redis.Redis, events: list[Event], **more: str) -> None:
    for event in events:
        send(client, event, **more)
    eventually(lambda: client.xlen(KEYS("events")) == 0)


def dead(client: redis.Redis) -> list[str]:
    return [fields[b"reason"].decode() for _, fields in client.xrange(KEYS("events", "dead"))]


def of_newer_worker() -> list[Event]:
    """Give the events of a whole job with names in them that this version does not know, at every depth."""
    events = [make.submitted(JOB), make.claimed(JOB, RUN), make.finished(make.record(JOB, RUN))]
    spec = json.loads(events[0].data["spec"]) | {"mood": "calm", "limits": {"noise_db": 40}}
    events[0].data.update({"spec": json.dumps(spec), "moon": "full"})
    events[1].data["zone"] = "b"
    record: dict[str, Any] = events[2].data["record"]
    record |= {"weather": ["rain"], "artifacts": [{"name": "a", "size_bytes": 1, "sha256": "0" * 64, "kind": "x"}]}
    record["usage"] |= {"joules": 12.5}
    record["stdout"] |= {"colour": True}
    return events


def test_names_of_a_newer_worker_are_passed_over_and_the_rest_is_taken(
    redis_client: redis.Redis, stored: Database
) -> None:
    send_all(redis_client, of_newer_worker(), w="of the stream itself")

    run, job = RunStore(stored).get(RUN), JobStore(stored).get(JOB)
    assert (run.outcome, run.usage.execution_time_seconds, job.state) == (State.SUCCEEDED, 1.5, State.SUCCEEDED)
    # Whoever reads it next may know more.
    assert json.loads(job.spec or "")["mood"] == "calm"
    assert dead(redis_client) == []


def test_what_an_older_broker_and_worker_do_not_say_is_unknown(redis_client: redis.Redis, stored: Database) -> None:
    events = [make.submitted(JOB, state="delayed"), make.claimed(JOB, RUN), make.finished(make.record(JOB, RUN))]
    reports = ("artifacts", "reports_refused", "report_faults")
    for name in ("v", *reports, "queue", "curve", "curve_io", "output_data", "process_tree"):
        del events[2].data["record"][name]
    events[2].data["record"]["stdout"] = {"text": "hello"}
    for name in ("cpu_avg", "platform"):
        del events[2].data["record"]["usage"][name]

    send_all(redis_client, events)

    run = RunStore(stored).get(RUN)
    assert (run.outcome, run.usage.cpu_avg, run.usage.memory_max_mb) == (State.SUCCEEDED, None, 48.5)
    assert dead(redis_client) == []


def test_a_newer_version_is_set_aside_by_name_and_the_others_are_taken(
    redis_client: redis.Redis, stored: Database
) -> None:
    send(redis_client, make.submitted(JOB), EVENT_VERSION + 1)
    newer = make.finished(make.record(JOB, RUN))
    newer.data["record"]["v"] = 99
    send(redis_client, newer)
    send_all(redis_client, make.whole_job())

    reasons = dead(redis_client)
    assert len(reasons) == 2
    assert any("version 2 is newer than 1" in reason for reason in reasons)
    assert any("record.v: 99 is not accepted" in reason for reason in reasons)
