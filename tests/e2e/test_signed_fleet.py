"""A fleet with a key: who can write to the broker and does not have it runs, orders and records nothing."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from scriptfleet.config import load_settings
from scriptfleet.domain.state import State
from scriptfleet.domain.worker_state import WorkerState
from scriptfleet.queues.client import Client
from scriptfleet.queues.job_handle import Job
from scriptfleet.queues.message import message, task_name
from scriptfleet.queues.orders import Order, Verb
from tests.e2e.test_drain import running, said_of, scriptfleet
from tests.e2e.test_fleet_runs_jobs import stored_runs
from tests.e2e.test_worker_health import metrics_of, url_of
from tests.eventually import eventually
from tests.fleet_parts import Fleet, Process, marked

KEY = "correct horse battery staple"


@dataclass
class SignedFleet(Fleet):
    """All of it has the key."""

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"SCRIPTFLEET_SIGNING_KEY": KEY}

    def thief(self) -> Client:
        """Give a client of who can write to the broker and has no key."""
        return Client(settings=load_settings(self.environment)._replace(signing_key=""))


@pytest.fixture
def fleet(redis_url: str, sqlite_url: str, tmp_path: Path) -> Iterator[SignedFleet]:
    made = SignedFleet(tmp_path, redis_url, f"signed-{tmp_path.name[-24:]}", sqlite_url)
    yield made
    made.stop()


@pytest.fixture
def worker(fleet: SignedFleet) -> Process:
    return fleet.worker("w1", slots=2, env={"SCRIPTFLEET_WORKER_HEALTH_PORT": "0"})


def refused(worker: Process, what: str) -> dict[str, float]:
    found = metrics_of(url_of(worker)).get(f"scriptfleet_worker_{what}_refused_total", {})
    return {labels[0][1]: count for labels, count in found.items()}


def write_again(fleet: SignedFleet, job: Job, dumped: bytes) -> None:
    """Write a job's own record and message, word for word, as who kept a copy of them could."""
    broker = fleet.thief().broker
    broker.redis.delete(broker.keys("job", job.id))
    broker.redis.restore(broker.keys("job", job.id), 0, dumped)
    broker.redis.zadd(broker.keys("admitted", "default"), {job.id: time.time() * 1000})
    broker.redis.lpush(broker.keys("celery", "default"), message(task_name("shell"), job.id, "default"))


def dump_of(fleet: SignedFleet, job: Job) -> bytes:
    broker = fleet.thief().broker
    return bytes(broker.redis.dump(broker.keys("job", job.id)))


def test_signed_jobs_run_and_unsigned_ones_are_refused_and_recorded(fleet: SignedFleet, worker: Process) -> None:
    server = fleet.server()
    good = fleet.client().submit_shell("echo good")
    bad = fleet.thief().submit_shell("echo bad", env={"MARK": "thief-1"})

    assert good.result(20).stdout == "good\n"
    result = bad.result(20)
    assert (result.outcome, result.stdout) == (State.REJECTED, "")
    assert "signing key" in result.usage.error_message
    assert refused(worker, "jobs") == {"signature": 1}
    runs = eventually(lambda: [run for run in stored_runs(server) if run["outcome"]][1:] and stored_runs(server))
    assert {run["job_id"]: run["outcome"] for run in runs} == {good.id: "succeeded", bad.id: "rejected"}


def test_a_spec_that_was_altered_on_its_way_is_refused(fleet: SignedFleet, tmp_path: Path) -> None:
    job = fleet.client().submit_shell("echo mine")
    broker, touched = fleet.thief().broker, tmp_path / "touched"
    spec = json.loads(broker.redis.hget(broker.keys("job", job.id), "spec"))
    spec["config"]["command"] = f"touch {touched}"
    broker.redis.hset(broker.keys("job", job.id), "spec", json.dumps(spec))
    fleet.worker("w1")

    assert job.result(20).outcome is State.REJECTED
    assert not touched.exists()


def test_a_spec_of_another_job_is_refused_under_a_new_id(fleet: SignedFleet, tmp_path: Path) -> None:
    times = tmp_path / "times"
    job = fleet.client().submit_shell(f"echo x >> {times}")
    broker, copied = fleet.thief().broker, Job("00000000-0000-4000-8000-000000000001", fleet.client().broker)
    dumped = dump_of(fleet, job)
    fleet.worker("w1")
    assert job.wait(60) is State.SUCCEEDED

    write_again(fleet, copied, dumped)

    assert copied.wait(60) is State.REJECTED
    assert times.read_text() == "x\n"
    assert broker.redis.exists(broker.keys("job", job.id))


def test_a_signed_job_that_is_written_again_once_its_record_is_gone_does_not_run_again(
    fleet: SignedFleet, tmp_path: Path
) -> None:
    server, times = fleet.server(), tmp_path / "times"
    job = fleet.client().submit_shell(f"echo x >> {times}")
    dumped = dump_of(fleet, job)
    worker = fleet.worker("w1", env={"SCRIPTFLEET_WORKER_HEALTH_PORT": "0"})
    assert job.wait(60) is State.SUCCEEDED

    write_again(fleet, job, dumped)

    result = job.result(20)
    assert result.outcome is State.REJECTED
    assert "was not run before" in result.usage.error_message
    assert times.read_text() == "x\n"
    assert refused(worker, "jobs") == {"replay": 1}
    runs = eventually(lambda: [run for run in stored_runs(server) if run["outcome"]][1:] and stored_runs(server))
    assert sorted(run["outcome"] for run in runs) == ["rejected", "succeeded"]


def test_what_remembers_ended_jobs_outlives_their_records_and_their_signatures(fleet: SignedFleet) -> None:
    fleet.worker("w1")
    job = fleet.client().submit_shell("true")
    assert job.wait(60) is State.SUCCEEDED
    broker = fleet.client().broker

    [spent] = broker.redis.scan_iter(f"{broker.keys('spent')}:*")

    assert broker.redis.smembers(spent) == {job.id.encode()}
    week = 7 * 24 * 3600
    assert week <= broker.redis.ttl(spent) <= week + 3 * 3600
    assert broker.redis.ttl(broker.keys("job", job.id)) < week


def test_a_signature_that_has_become_too_old_is_refused(fleet: SignedFleet) -> None:
    settings = load_settings(fleet.environment)._replace(signature_hours=0.0001)
    job = Client(settings=settings).submit_shell("echo late")
    eventually(lambda: time.time() > job.facts()["submitted_at"] + 1)
    fleet.worker("w1")

    result = job.result(20)

    assert result.outcome is State.REJECTED
    assert "signature age" in result.usage.error_message


def test_a_job_is_stopped_by_signed_orders_alone(fleet: SignedFleet, worker: Process) -> None:
    job = running(fleet, "thief-2", grace=0.5)
    keys, thief = fleet.thief().broker.keys, fleet.thief()

    thief.broker.redis.publish(keys("control"), '{"stop":"' + job.id + '"}')
    thief.job(job.id).cancel()
    old = replace(Order.now(Verb.STOP, job.id), at=time.time() - 3600).to_text(KEY)
    thief.broker.redis.publish(keys("control"), old)
    eventually(lambda: refused(worker, "orders").keys() >= {"form", "signature", "replay"})
    # Also the mark that the thief's cancel left is asked about with each renewal of the lease.
    eventually(lambda: refused(worker, "orders")["signature"] >= 2, within=60)

    assert marked("thief-2")
    assert job.cancel()
    assert job.wait(60) is State.CANCELLED
    assert marked("thief-2") == []


def test_workers_are_drained_and_cordoned_by_signed_orders_alone(fleet: SignedFleet, worker: Process) -> None:
    name = said_of(fleet, "w1").name
    broker = fleet.thief().broker
    orders = broker.keys("orders", name)
    for field, order in (("cordon", Order.now(Verb.CORDON, name)), ("drain", Order.now(Verb.DRAIN, name))):
        broker.redis.hset(orders, field, order.to_text(""))
    eventually(lambda: refused(worker, "orders").get("signature") == 2)
    broker.redis.hset(orders, "drain", Order.now(Verb.DRAIN, "w2@elsewhere").to_text(KEY))
    eventually(lambda: refused(worker, "orders").get("target") == 1)
    before = replace(Order.now(Verb.DRAIN, name), at=time.time() - 300).to_text(KEY)
    broker.redis.hset(orders, "drain", before)
    eventually(lambda: refused(worker, "orders").get("replay") == 1)
    assert said_of(fleet, "w1").state is WorkerState.READY

    scriptfleet(fleet, "workers", "cordon", "w1")
    eventually(lambda: said_of(fleet, "w1").state is WorkerState.CORDONED)
    cordon = broker.redis.hget(orders, "cordon")
    scriptfleet(fleet, "workers", "uncordon", "w1")
    eventually(lambda: said_of(fleet, "w1").state is WorkerState.READY)
    broker.redis.hset(orders, "cordon", cordon)
    eventually(lambda: refused(worker, "orders").get("replay") == 2)
    assert said_of(fleet, "w1").state is WorkerState.READY
    scriptfleet(fleet, "workers", "drain", "w1")
    assert worker.popen.wait(60) == 0


def test_celerys_own_control_is_off_where_orders_are_signed(fleet: SignedFleet, worker: Process) -> None:
    job = running(fleet, "thief-3", "sleep 4; echo done")
    revoke = "from scriptfleet_workers.app import app; app.control.revoke(__import__('sys').argv[1], terminate=True)"
    shut = "from scriptfleet_workers.app import app; app.control.shutdown()"
    for order in (revoke, shut):
        subprocess.run([sys.executable, "-c", order, job.id], env=fleet.environment, check=True)

    assert job.result(20).stdout == "done\n"
    assert worker.popen.poll() is None


def test_facts_that_no_worker_signed_are_set_aside(fleet: SignedFleet, worker: Process) -> None:
    server = fleet.server()
    job = fleet.client().submit_shell("echo honest; exit 3")
    run_id = job.result(20).run_id
    eventually(lambda: [run for run in stored_runs(server) if run["outcome"]])
    broker = fleet.thief().broker
    record = job.facts()["record"] | {"outcome": "succeeded"}
    said = {"run_id": run_id, "state": "succeeded", "stale": False, "record": record, "sig": ""}
    piece = {"run_id": run_id, "stream": "stdout", "number": 0, "body": "eJwDAAAAAAE=", "sig": "f" * 64}
    for kind, data in (("finished", said), ("output", piece)):
        fact = {"v": 1, "t": kind, "j": job.id, "r": 99, "at": round(time.time() * 1000), "d": json.dumps(data)}
        broker.redis.xadd(broker.keys("events"), fact)

    eventually(lambda: broker.redis.xlen(broker.keys("events", "dead")) == 2)

    buried = broker.redis.xrange(broker.keys("events", "dead"))
    assert {fields[b"reason"] for _, fields in buried} == {b"not signed with this fleet's key"}
    [run] = stored_runs(server)
    assert run["outcome"] == "failed"
    assert server.get(f"/api/v1/runs/{run_id}/output").text == "honest\n"
