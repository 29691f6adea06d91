"""What verbs of the command line change is in the audit log, with who and where from."""

import getpass
import json
import socket
from typing import Any

from scriptfleet.domain.event import EVENT_VERSION, EventType
from tests.command import scriptfleet
from tests.eventually import eventually
from tests.fleet_parts import Fleet

KEY = {"SCRIPTFLEET_SIGNING_KEY": "a key of this fleet"}


def call(fleet: Fleet, *words: str, **more: str) -> str:
    done = scriptfleet(*words, home=fleet.home, **fleet.environment, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def kept(fleet: Fleet) -> list[dict[str, Any]]:
    """Give the log, the oldest first."""
    found: list[dict[str, Any]] = json.loads(call(fleet, "audit", "--json", "--limit", "100"))
    return found[::-1]


def test_each_verb_that_changes_something_leaves_an_entry(fleet: Fleet) -> None:
    fleet.server()
    worker = fleet.worker(queues="default")
    name = fleet.view().workers()[0].name
    job = call(fleet, "submit", "--shell", "true", "--queue", "aside")
    call(fleet, "cancel", job)
    again = call(fleet, "rerun", job, "--queue", "aside")
    call(fleet, "retry", job)
    call(fleet, "cancel", "--label", "team=ops", "--yes")
    call(fleet, "queues", "pause", "aside")
    call(fleet, "queues", "resume", "aside")
    call(fleet, "queues", "purge", "aside", "--yes")
    failed = call(fleet, "submit", "--shell", "exit 3")
    scriptfleet("wait", failed, home=fleet.home, **fleet.environment)
    call(fleet, "dead", "replay", failed)
    eventually(lambda: fleet.client().dead.ids() not in ([], [failed]))
    call(fleet, "dead", "rm", "--all", "--yes")
    call(fleet, "workers", "cordon", name)
    call(fleet, "workers", "drain", name, "--grace", "1s")
    call(fleet, "schedule", "add", "nightly", "--every", "1d", "--shell", "true")
    call(fleet, "schedule", "rm", "nightly")
    call(fleet, "definition", "add", "report", "--shell", "true")
    call(fleet, "definition", "rm", "report")
    call(fleet, "retention", "add", "year", "--days", "365")
    call(fleet, "retention", "apply", "year", "--dry-run")
    call(fleet, "retention", "apply", "year")
    call(fleet, "retention", "rm", "year")

    found = eventually(lambda: len(entries := kept(fleet)) >= len(ALL) and entries)

    assert sorted(one["action"] for one in found) == sorted(ALL)
    assert {(one["actor"], one["role"], one["address"], one["result"]) for one in found} == {
        (f"cli:{getpass.getuser()}", None, socket.gethostname(), "ok")
    }
    said = {one["action"]: one for one in found}
    assert said["queue.purge"]["detail"] == {"cancelled": 2}
    assert {one["target"]: one["detail"] for one in found if one["action"] == "job.rerun"}[job]
    assert again in {one["detail"].get("new_job") for one in found if one["detail"]}
    assert said["worker.drain"]["detail"] == {"grace_seconds": 1.0}
    assert said["retention.add"]["detail"]["days"] == 365
    worker.popen.wait(30)


ALL = [
    *("job.submit", "job.cancel", "job.rerun", "job.rerun", "job.cancel", "queue.pause", "queue.resume", "queue.purge"),
    *("job.submit", "dead.replay", "dead.remove", "worker.cordon", "worker.drain", "schedule.add", "schedule.remove"),
    *("definition.change", "definition.remove", "retention.add", "retention.apply", "retention.remove"),
]


def test_what_waits_while_no_service_runs_is_kept_once_one_does(fleet: Fleet) -> None:
    fleet.database_url = f"sqlite:///{fleet.home / 'new.db'}"
    call(fleet, "db", "upgrade")
    call(fleet, "queues", "pause", "nightly", "--create")
    assert [one["action"] for one in kept(fleet)] == ["db.upgrade"]

    fleet.server()

    eventually(lambda: {one["action"] for one in kept(fleet)} == {"db.upgrade", "queue.pause"})


def test_a_change_that_somebody_made_up_is_set_aside(fleet: Fleet) -> None:
    fleet.settings.update(KEY)
    server = fleet.server()
    broker = fleet.client().broker
    change = {"id": "1", "actor": "cli:root", "action": "queue.pause", "target": "q", "sig": "0" * 64}
    fact = {"v": EVENT_VERSION, "t": EventType.AUDITED, "j": "", "r": 0, "at": 1}
    broker.redis.xadd(broker.keys("events"), {**fact, "d": json.dumps(change)})
    call(fleet, "queues", "pause", "nightly", "--create")

    eventually(lambda: [one["target"] for one in kept(fleet)] == ["nightly"])
    assert server.get("/readyz").json()["events_dead"] == 1


def test_nobody_can_be_named_who_has_a_token(fleet: Fleet) -> None:
    server = fleet.server()
    broker = fleet.client().broker
    change = {"id": "1", "actor": "ann", "action": "queue.pause", "target": "q", "sig": ""}
    fact = {"v": EVENT_VERSION, "t": EventType.AUDITED, "j": "", "r": 0, "at": 1}
    broker.redis.xadd(broker.keys("events"), {**fact, "d": json.dumps(change)})

    eventually(lambda: server.get("/readyz").json()["events_dead"] == 1)
    assert kept(fleet) == []
    done = scriptfleet("token", "add", "cli:root", "--role", "viewer", home=fleet.home, **fleet.environment)
    assert done.returncode == 2
