"""A secret goes from the worker to the script that names it, and is to be found nowhere else."""

import json
import sqlite3

import pytest

from scriptfleet import Client
from scriptfleet.config import load_settings
from scriptfleet.domain.state import State
from tests.eventually import eventually
from tests.fleet_parts import Fleet

VALUE = "correct-horse-battery"
OWN = "of-the-worker-alone"
WORKER_ENV = {
    "SCRIPTFLEET_SECRET_TOKEN": VALUE,
    "SCRIPTFLEET_SIGNING_KEY": OWN,
    "SCRIPTFLEET_SECRET_OTHER": OWN,
    "AWS_SECRET_ACCESS_KEY": OWN,
    "SITE": "north",
}


@pytest.mark.parametrize("inherit", [None, True])
def test_the_workers_own_secrets_reach_no_script(fleet: Fleet, inherit: bool | None) -> None:
    fleet.worker(env=WORKER_ENV)
    client = Client(settings=load_settings(fleet.environment | {"SCRIPTFLEET_SIGNING_KEY": OWN}))
    job = client.submit_code("import os, json; print(json.dumps(dict(os.environ)))", inherit_env=inherit)
    seen = json.loads(job.result(30).stdout)

    assert not [name for name, value in seen.items() if value == OWN]
    assert not {"SCRIPTFLEET_REDIS_URL", "SCRIPTFLEET_DATABASE_URL", "SCRIPTFLEET_SECRET_TOKEN"} & seen.keys()
    assert seen.get("SITE") == ("north" if inherit else None)


def test_a_secret_is_in_no_record_event_output_page_or_log(fleet: Fleet) -> None:
    server = fleet.server()
    worker = fleet.worker(env={"SCRIPTFLEET_SECRET_TOKEN": VALUE})
    code = (
        "import os, sys, time\nvalue = os.environ['TOKEN']\n"
        "sys.stdout.write('got ' + value[:9]); sys.stdout.flush(); time.sleep(0.5)\n"
        "print(value[9:]); print(os.environ['URL'])\n"
        "raise SystemExit(f'failed with {value}')"
    )
    given = {"DB_PASSWORD": "in-the-clear", "URL": "pg://me:${TOKEN}@db"}
    job = fleet.client().submit_code(code, secrets=["TOKEN"], env=given)
    live = "".join(text for _, text in job.output(follow=True))
    result = job.result(30)

    assert result.outcome is State.FAILED
    assert result.stdout == "got ***\npg://me:***@db\n"
    assert "failed with ***" in live
    eventually(lambda: server.get(f"/api/v1/runs/{result.run_id}/output").text.startswith("got ***"))
    answer = server.get(f"/api/v1/jobs/{job.id}").json()
    assert answer["spec"]["env"] == {"DB_PASSWORD": "***", "URL": "pg://me:***@db"}
    shown = [live, str(result), worker.log(), server.process.log(), json.dumps(answer)]
    shown += [server.get(path).text for path in (f"/runs/{result.run_id}", f"/jobs/{job.id}", "/", "/metrics")]
    shown += [_dumped(fleet), str(_broker_content(fleet))]
    for text in shown:
        assert VALUE not in text
    assert "in-the-clear" not in _dumped(fleet) + json.dumps(answer)


def test_a_secret_among_arguments_is_told_to_nobody_who_looks_at_processes(fleet: Fleet) -> None:
    server = fleet.server()
    fleet.worker(env={"SCRIPTFLEET_SECRET_TOKEN": VALUE})
    client = fleet.client()
    job = client.submit_shell('sh -c "sleep 61; true" "$TOKEN" --x="pre-$TOKEN" & wait', secrets=["TOKEN"])
    eventually(lambda: job.state() == State.RUNNING)
    run_id = job.facts()["run_id"]

    def told() -> str:
        answer = server.get(f"/api/v1/runs/{run_id}/processes")
        assert answer.json()["count"] == 3
        return answer.text

    live = eventually(told)
    job.cancel()
    job.result(30)
    kept = eventually(lambda: text if '"is_live":false' in (text := told()) else "")

    for text in (live, kept, str(_broker_content(fleet))):
        assert "***" in text
        assert "--x=pre-***" in text
        assert VALUE not in text


def _dumped(fleet: Fleet) -> str:
    path = fleet.database_url.removeprefix("sqlite:///")
    connection = sqlite3.connect(path)
    try:
        return "\n".join(connection.iterdump())
    finally:
        connection.close()


def _broker_content(fleet: Fleet) -> list[object]:
    client = fleet.client().broker.redis
    readers = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"stream": client.xrange,
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"list": lambda key: client.lrange(key, 0, -1),
    }
    found: list[object] = []
    for key in client.scan_iter(match=f"*{fleet.namespace}*"):
        kind = client.type(key)
        if kind in readers:
            found.append(readers[kind](key))
    assert found
    return found
