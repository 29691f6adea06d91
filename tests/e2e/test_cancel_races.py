"""Cancels race with jobs that end: each job has one outcome, the same everywhere, and nothing of it is left."""

from collections import Counter

from scriptfleet.domain.state import State
from scriptfleet.queues.drafts import of_command
from tests.eventually import eventually
from tests.fleet_parts import Fleet, Server

JOBS = 400


def test_each_job_of_a_group_that_is_cancelled_while_it_runs_has_one_outcome_everywhere(fleet: Fleet) -> None:
    server = fleet.server()
    fleet.worker(slots=4)
    client = fleet.client()
    # Some fail and would be tried again, some are given back by nobody, all are short enough to end under a cancel.
    how = [("true", {}), ("exit 3", {"retry": {"max_attempts": 9, "initial_delay": 0.05}}), ("sleep 0.05", {})]
    drafts = [of_command(how[at % 3][0], group="race", grace=0.5, **how[at % 3][1]) for at in range(JOBS)]
    jobs = client.submit_many(drafts)
    eventually(lambda: sum(job.state().is_final for job in jobs[:60]) >= 20, within=60)

    told: Counter[str] = Counter()
    while counts := client.cancel(group="race"):
        told.update(counts)

    states = {job.id: job.wait(60) for job in jobs}
    assert set(states.values()) == {State.SUCCEEDED, State.CANCELLED}
    assert told["queued"] + told["delayed"] + told["running"] >= Counter(states.values())[State.CANCELLED]
    eventually(lambda: _stored(server, jobs[-1].id) is not None)
    eventually(lambda: client.broker.redis.xlen(client.broker.keys("events")) == 0)
    assert {job.id: State(_stored(server, job.id) or "queued") for job in jobs} == states
    broker = client.broker
    left = ("marked:group:race", "delayed", "leases", "running:default", "admitted:default", "ready:default")
    eventually(lambda: not broker.redis.exists(*(broker.keys(*name.split(":")) for name in left)))


def _stored(server: Server, job_id: str) -> str | None:
    found = server.get(f"/api/v1/jobs/{job_id}").json()
    return found["state"] if found.get("finished_at") else None
