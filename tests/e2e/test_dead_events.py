"""A fact that no store can take holds up nothing; given to the store again it is taken, or comes back."""

import json

from tests.command import scriptfleet
from tests.eventually import eventually
from tests.fleet_parts import Fleet

JOB = "0a6e9f0e-5d83-4d0b-8f3c-0c2b9e2a7f10"


def dead_events(fleet: Fleet) -> list[dict]:
    return json.loads(scriptfleet("dead", "events", "--json", home=fleet.home, **fleet.environment).stdout)


def test_a_fact_of_a_newer_version_waits_until_the_service_is_of_that_version_too(fleet: Fleet) -> None:
    server, broker = fleet.server(), fleet.client().broker
    spec = json.dumps({"v": 1, "kind": "shell", "name": "late.sh", "config": {"command": "true"}})
    data = json.dumps({"spec": spec, "state": "queued", "sig": ""})
    fact = {"v": "99", "t": "submitted", "j": JOB, "r": "1", "at": "1790000000000", "d": data}
    broker.redis.xadd(broker.keys("events"), fact)
    first = eventually(lambda: dead_events(fleet))

    # Nothing has changed: it comes back, once, and the service goes on.
    again = scriptfleet("dead", "events", "--reingest", first[0]["entry"], home=fleet.home, **fleet.environment)
    assert (again.returncode, again.stdout) == (0, "1 to be stored again\n"), again.stderr
    second = eventually(lambda: [one for one in dead_events(fleet) if one["entry"] != first[0]["entry"]])
    assert [(one["job_id"], "version 99" in one["reason"]) for one in second] == [(JOB, True)]
    assert server.get(f"/api/v1/jobs/{JOB}").status_code == 404

    # As a service of that version would see it.
    (entry, fields), *rest = broker.redis.xrange(broker.keys("events", "dead"))
    assert not rest
    broker.redis.xdel(broker.keys("events", "dead"), entry)
    broker.redis.xadd(broker.keys("events", "dead"), {**fields, b"v": b"1"})
    scriptfleet("dead", "events", "--reingest", "--all", home=fleet.home, **fleet.environment)
    eventually(lambda: server.get(f"/api/v1/jobs/{JOB}").status_code == 200)
    assert server.get(f"/api/v1/jobs/{JOB}").json()["name"] == "late.sh"
    assert dead_events(fleet) == []
