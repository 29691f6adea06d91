"""Restoring what a wiped broker forgot, with a real broker and database: each job once, and only after a wipe."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa

from scriptfleet.config import Settings
from scriptfleet.domain.ids import new_run_id
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.limits import Limits
from scriptfleet.domain.retry import RetryPolicy
from scriptfleet.domain.state import State
from scriptfleet.queues.claims import Claim, Claims, Ending
from scriptfleet.queues.client import Broker, Client
from scriptfleet.queues.epoch import Epochs
from scriptfleet.queues.events import EventReader
from scriptfleet.queues.restoring import LostJob, Restored, Restoring
from scriptfleet.results.restore import Restore, due_at
from scriptfleet.storage.broker_store import BrokerRow, BrokerStore
from scriptfleet.storage.engine import Database
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.job_store import JobRow, JobStore
from tests import event_factory as make


class Bench:
    """A store, a broker and what goes on between them, step by step."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.client, self.broker, self.database = Client(settings=settings), Broker(settings), database
        self.redis, self.keys = self.broker.redis, self.broker.keys
        self.reader = EventReader(self.redis, self.keys, "bench")
        self.brokers = BrokerStore(database, settings.namespace)
        self.claims = Claims(self.redis, self.keys, "w1", 3600)

    def service(self) -> Restore:
        epochs = Epochs(self.redis, self.keys)
        return Restore(epochs, Restoring(self.broker), self.reader, self.brokers, self.database)

    def store_events(self) -> None:
        while self.reader.backlog():
            # The first read after a wipe only finds that the group is gone.
            events = self.reader.read(block_ms=1)
            IngestStore(self.database).apply(events)
            self.reader.done([event.entry_id for event in events])

    def wipe(self) -> None:
        self.redis.flushall()

    def let_leases_pass(self) -> None:
        """Have the wipe be noticed long ago."""
        with self.database.writing() as connection:
            connection.execute(sa.text("UPDATE brokers SET wiped_at = 1000, stored_until = 999"))

    def restore(self, *services: Restore) -> None:
        """Notice the wipe, let the leases pass, restore."""
        for one in services:
            one.look()
        self.let_leases_pass()
        for one in services:
            one._known = None
            one.look()
        self.store_events()

    def claim(self, job_id: str) -> Claim:
        found = self.claims.claim(job_id, new_run_id())
        assert isinstance(found, Claim), found
        return found

    def finish(self, claim: Claim, state: State = State.SUCCEEDED, delay_seconds: float = 0.0) -> None:
        record = make.record(claim.job_id, claim.run_id, State.SUCCEEDED if state.is_final else State.FAILED)
        self.claims.finish(Ending(claim.job_id, claim.run_id, json.dumps(record.to_dict()), state, delay_seconds))

    def row(self, job_id: str) -> JobRow:
        return JobStore(self.database).get(job_id)


@pytest.fixture
def bench(redis_client: redis.Redis, redis_url: str, database: Database, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(Settings(tmp_path, redis_url=redis_url, signing_key="key"), database)
    made.service().look()
    yield made
    made.redis.close()


def test_a_waiting_job_is_submitted_again_with_its_id_its_spec_and_its_signature(bench: Bench) -> None:
    job = bench.client.submit_shell("echo hello", priority=7, queue="reports", labels={"team": "ü"})
    before = bench.redis.hgetall(bench.keys("job", job.id))
    bench.store_events()

    bench.wipe()
    bench.restore(bench.service())

    after = bench.redis.hgetall(bench.keys("job", job.id))
    kept = (b"spec", b"sig", b"kind", b"name", b"argsrepr", b"queue", b"prio", b"state", b"attempt")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    bench.finish(bench.claim(job.id))
    bench.store_events()
    assert (bench.row(job.id).state, bench.row(job.id).attempt) == (State.SUCCEEDED, 1)


def test_nothing_is_done_while_the_epoch_is_intact(bench: Bench) -> None:
    job = bench.client.submit_shell("echo hello")
    bench.store_events()
    bench.redis.delete(bench.keys("job", job.id))

    service = bench.service()
    for _ in range(3):
        service.look()

    assert not bench.redis.exists(bench.keys("job", job.id))


def test_jobs_wait_until_whoever_may_run_them_has_said_so(bench: Bench) -> None:
    job = bench.client.submit_shell("echo hello")
    bench.store_events()
    bench.wipe()
    service = bench.service()

    for _ in range(3):
        service.look()

    assert not bench.redis.exists(bench.keys("job", job.id))
    row = bench.brokers.get()
    assert row is not None
    assert row.wiped_at is not None
    assert due_at(row) - row.wiped_at >= 15


@pytest.mark.parametrize(("behind", "waits"), [(0.0, 15.0), (60.0, 30.0), (7200.0, 300.0)])
def test_the_wait_is_the_longest_lease_of_what_the_store_had_not_heard_of(behind: float, waits: float) -> None:
    assert due_at(BrokerRow("e", 10_000 - behind, 10_000)) == 10_000 + waits + 2


def test_a_delayed_job_is_due_when_it_was(bench: Bench) -> None:
    later = bench.client.submit_shell("echo later", not_before=4_000_000_000)
    retried = bench.client.submit_shell("false", retry=RetryPolicy(max_attempts=3))
    bench.finish(bench.claim(retried.id), State.DELAYED, delay_seconds=900.0)
    due = bench.redis.zscore(bench.keys("delayed"), retried.id)
    bench.store_events()

    bench.wipe()
    bench.restore(bench.service())

    assert bench.redis.zscore(bench.keys("delayed"), later.id) == 4_000_000_000_000
    assert bench.redis.zscore(bench.keys("delayed"), retried.id) == due
    assert bench.redis.hget(bench.keys("job", retried.id), "attempt") == b"1"
    assert bench.row(later.id).state is State.DELAYED


def test_a_running_job_has_its_lease_again_and_its_worker_goes_on(bench: Bench) -> None:
    job = bench.client.submit_shell("sleep 60")
    claim = bench.claim(job.id)
    bench.store_events()

    bench.wipe()
    bench.restore(bench.service())

    assert bench.redis.zscore(bench.keys("leases"), job.id) > 0
    bench.finish(claim)
    bench.store_events()
    assert (bench.row(job.id).state, bench.row(job.id).last_run_id) == (State.SUCCEEDED, claim.run_id)


def test_a_running_job_whose_worker_is_gone_is_rescued_when_the_lease_ends(bench: Bench) -> None:
    job = bench.client.submit_shell("sleep 60")
    first = bench.claim(job.id)
    bench.store_events()

    bench.wipe()
    bench.restore(bench.service())
    bench.redis.zadd(bench.keys("leases"), {job.id: 1})
    assert bench.claims.tick().rescued == 1

    second = bench.claim(job.id)
    assert (second.attempt, second.losses) == (1, 1)
    bench.finish(second)
    bench.store_events()
    assert (bench.row(job.id).state, bench.row(job.id).last_run_id) == (State.SUCCEEDED, second.run_id)
    assert second.run_id != first.run_id


def test_a_job_that_its_worker_put_back_is_left_to_it(bench: Bench) -> None:
    job = bench.client.submit_shell("sleep 60")
    claim = bench.claim(job.id)
    bench.store_events()

    bench.wipe()
    assert bench.claims.reassert(claim, 15.0)
    before = bench.redis.hgetall(bench.keys("job", job.id))
    bench.restore(bench.service())

    assert bench.redis.hgetall(bench.keys("job", job.id)) == before


def test_a_job_whose_script_is_gone_ends_as_lost_with_that_reason(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text("print('hello')")
    waiting, running = (bench.client.submit(tmp_path / "hello.py", [name]) for name in ("waiting", "running"))
    bench.claim(running.id)
    bench.store_events()

    bench.wipe()
    bench.restore(bench.service())
    assert (bench.row(waiting.id).state, bench.row(running.id).state) == (State.LOST, State.RUNNING)
    assert waiting.state() is State.LOST
    bench.redis.zadd(bench.keys("leases"), {running.id: 1})
    bench.claims.tick()
    assert bench.claims.claim(running.id, new_run_id()) == "lost"

    bench.store_events()
    reason = "its script is no longer with the broker"
    found = [(bench.row(job.id).state, bench.row(job.id).reason) for job in (waiting, running)]
    assert found == [(State.LOST, reason)] * 2


def test_a_job_whose_spec_is_not_kept_whole_ends_as_lost_and_says_why(bench: Bench) -> None:
    job = bench.client.submit_shell("echo hello", env={"DB_PASSWORD": "clear"})
    bench.store_events()

    bench.wipe()
    bench.restore(bench.service())

    row = bench.row(job.id)
    assert (row.state, row.reason) == (State.LOST, "its spec held a secret, which the store does not keep")


def test_a_key_that_was_used_again_skips_the_job_that_had_it(bench: Bench) -> None:
    first = bench.client.submit_shell("echo hello", idempotency_key="nightly")
    bench.store_events()

    bench.wipe()
    second = bench.client.submit_shell("echo hello", idempotency_key="nightly")
    bench.store_events()
    bench.restore(bench.service())

    assert second.id != first.id
    row = bench.row(first.id)
    assert (row.state, row.reason) == (State.SKIPPED, f"its idempotency key was used again, by job {second.id}")
    assert bench.row(second.id).state is State.QUEUED


def test_a_key_stands_for_its_restored_job(bench: Bench) -> None:
    first = bench.client.submit_shell("echo hello", idempotency_key="nightly")
    bench.store_events()

    bench.wipe()
    bench.restore(bench.service())

    assert bench.client.submit_shell("echo hello", idempotency_key="nightly").id == first.id


def test_attempts_losses_and_memory_retries_are_remembered(bench: Bench) -> None:
    policy = RetryPolicy(max_attempts=5, oom_memory_factor=2.0, oom_queue="large")
    spec = replace(make.shell_spec(), retry=policy, limits=Limits(memory_mb=64))
    [job] = bench.client.submit_many([spec])
    claim = bench.claim(job.id)
    record = json.dumps(make.record(job.id, claim.run_id, State.OUT_OF_MEMORY).to_dict())
    bench.claims.finish(Ending(job.id, claim.run_id, record, State.DELAYED, queue="large", is_out_of_memory=True))
    bench.claims.tick()
    bench.claim(job.id)
    bench.redis.zadd(bench.keys("leases"), {job.id: 1})
    bench.claims.tick()
    bench.store_events()

    bench.wipe()
    bench.restore(bench.service())

    again = bench.claim(job.id)
    assert (again.attempt, again.losses, again.out_of_memory, again.queue) == (2, 1, 1, "large")


def test_two_services_at_once_restore_each_job_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    jobs = [bench.client.submit_shell(f"echo {number}") for number in range(30)]
    bench.store_events()

    bench.wipe()
    first, second = bench.service(), bench.service()
    bench.restore(first, second)

    told = [record.getMessage() for record in caplog.records]
    assert sum(one.startswith("broker_wiped ") for one in told) == 1
    assert sum(one.startswith("broker_restored ") for one in told) == 1
    assert sorted(one.split()[1] for one in told if one.startswith("job_restored")) == sorted(
        f"job={job.id}" for job in jobs
    )
    assert (
        bench.redis.zcard(bench.keys("ready", "default")) + bench.redis.zcard(bench.keys("admitted", "default")) == 30
    )


def test_a_service_that_comes_late_with_an_old_list_restores_nothing(bench: Bench) -> None:
    job = bench.client.submit_shell("echo hello")
    bench.store_events()
    bench.wipe()
    bench.restore(bench.service())
    epoch = bench.brokers.get()
    assert epoch is not None

    # It ended long ago, and the broker has let it go.
    bench.redis.delete(bench.keys("job", job.id))

    late = LostJob(job.id, make.shell_spec().to_json(), "")
    assert Restoring(bench.broker).restore(late, epoch.epoch, is_wiped=True) is Restored.OVER
    assert Restoring(bench.broker).restore(late, "another", is_wiped=False) is Restored.OVER


def test_a_service_that_ended_halfway_is_taken_over(bench: Bench) -> None:
    jobs = [bench.client.submit_shell(f"echo {number}") for number in range(3)]
    bench.store_events()
    bench.wipe()
    half = bench.service()
    half.look()
    bench.let_leases_pass()
    half._stopping.set()
    half._known = None
    half.look()
    assert not bench.redis.exists(bench.keys("job", jobs[0].id))

    bench.restore(bench.service())

    assert all(bench.redis.exists(bench.keys("job", job.id)) for job in jobs)


def test_a_second_wipe_while_restoring_is_a_wipe_of_its_own(bench: Bench) -> None:
    job = bench.client.submit_shell("echo hello")
    bench.store_events()
    bench.wipe()
    bench.service().look()
    bench.wipe()

    bench.restore(bench.service())

    assert bench.redis.exists(bench.keys("job", job.id))


def test_a_database_from_a_backup_restores_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    job = bench.client.submit_shell("echo hello")
    bench.store_events()
    with bench.database.writing() as connection:
        connection.execute(sa.text("UPDATE brokers SET epoch = 'of last week'"))
    bench.redis.delete(bench.keys("job", job.id))

    service = bench.service()
    for _ in range(3):
        service.look()

    assert "broker_of_another_time" in caplog.text
    assert not bench.redis.exists(bench.keys("job", job.id))


def test_jobs_of_a_newer_version_are_left_and_named(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    spec = json.loads(make.shell_spec().to_json()) | {"v": 99}
    event = make.submitted("0a6e9f0e-5d83-4d0b-8f3c-0c2b9e2a7f10")
    event.data["spec"] = json.dumps(spec)
    IngestStore(bench.database).apply([event])
    other = bench.client.submit_shell("echo hello")
    bench.store_events()

    bench.wipe()
    bench.restore(bench.service())

    assert "job_not_restored job=0a6e9f0e" in caplog.text
    assert bench.redis.exists(bench.keys("job", other.id))


def test_a_restored_spec_is_what_a_worker_reads(bench: Bench) -> None:
    spec = make.shell_spec(env={"MODE": "fast"}, labels={"team": "data"})
    [job] = bench.client.submit_many([spec])
    bench.store_events()

    bench.wipe()
    bench.restore(bench.service())

    assert JobSpec.from_json(bench.claim(job.id).spec) == spec
