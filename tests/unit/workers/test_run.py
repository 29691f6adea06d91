"""A fault of the worker itself: the job's own policy decides what follows, and no secret is told."""

import json
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from scriptfleet.config import load_settings
from scriptfleet.domain.outcome import DRAINED, StopReason
from scriptfleet.domain.state import State
from scriptfleet.execution import environment
from scriptfleet.execution.engine import Engine
from scriptfleet.execution.pipeline import Surroundings
from scriptfleet.execution.secret import secrets_of
from scriptfleet.execution.workspace import Workspaces
from scriptfleet.queues.claims import Claims
from scriptfleet.queues.client import Client
from scriptfleet.queues.drafts import of_command
from scriptfleet.queues.events import OutputPublisher
from scriptfleet.queues.live_output import LiveOutput
from scriptfleet_workers.active import ActiveRuns
from scriptfleet_workers.live import LivePump
from scriptfleet_workers.pressure import Pressure
from scriptfleet_workers.reporter import Reporter
from scriptfleet_workers.run import Done, NotClaimed, Runner
from scriptfleet_workers.spool import Spool
from scriptfleet_workers.tally import Tally
from scriptfleet_workers.turn import Turn
from tests.broker_server import BrokerServer

#: Of a queue that no worker has told its slots for; DEFAULT_WINDOW in queues/lua.
WINDOW = 16


#: Of a queue that no worker has told its slots for; DEFAULT_WINDOW in queues/lua.
WINDOW = 16


class BrokenEngine(Engine):
    """An engine with a fault of its own, whose text quotes what it was given."""

    def run(self, plan: Any, on_start: Callable[..., Any] | None = None) -> Any:
        raise LookupError(f"no place for {plan.env}")


def runner(url: str, folder: Path, engine_class: type[Engine] = BrokenEngine) -> tuple[Client, Runner]:
    own = {"SCRIPTFLEET_REDIS_URL": url, "SCRIPTFLEET_NAMESPACE": f"t{uuid.uuid4().hex[:8]}"}
    settings = load_settings(own | {"SCRIPTFLEET_HOME": str(folder)})
    client = Client(settings=settings)
    broker, active = client.broker, ActiveRuns()
    claims = Claims(broker.redis, broker.keys, "w1", 60)
    inheritance = environment.on_fleet({}, (), False)
    engine = engine_class(warm_env=inheritance.clean)
    around = Surroundings(engine, inheritance, secrets_of(settings), None)
    spool = Spool(folder / "spool")
    live = LivePump(LiveOutput(broker.redis, broker.keys), active, 60, Pressure())
    stopping = threading.Event()
    reporter = Reporter(claims, OutputPublisher(broker.redis, broker.keys), lambda _: None, spool, stopping)
    folders = Workspaces(folder / "runs")
    return client, Runner(
        settings, folders, "w1", claims, around, active, reporter, live, lambda spec: spec, Tally(), lambda: False
    )


def test_after_a_fault_of_the_worker_the_job_is_tried_again_and_its_secret_is_not_told(
    redis_client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    client, runs = runner(redis_url, tmp_path)
    job = client.submit_shell(
        "true", env={"API_TOKEN": "hunter2hunter2"}, retry={"max_attempts": 3, "initial_delay": 60}
    )

    done = runs.run_job(job.id, Turn())

    assert isinstance(done, Done)
    assert done.record.usage.error_type == "InternalError"
    assert "LookupError" in (done.record.usage.error_message or "")
    assert "hunter2" not in json.dumps(done.record.to_dict())
    assert job.state() is State.DELAYED


def test_a_claim_while_the_broker_is_away_leaves_the_job_to_be_sent_again(tmp_path: Path) -> None:
    server = BrokerServer()
    server.start()
    client, runs = runner(server.url, tmp_path)
    job = client.submit_shell("true")
    server.kill()

    assert runs.run_job(job.id, Turn()) == NotClaimed("broker away")

    server.start()
    assert job.state() is State.QUEUED
    server.remove()


def test_a_job_claimed_just_before_its_worker_ends_all_runs_goes_back_too(
    redis_client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    client, runs = runner(redis_url, tmp_path, Engine)
    job = client.submit_shell("sleep 60")
    runs.active.stop_all(StopReason.SHUTDOWN, 0.0)

    done = runs.run_job(job.id, Turn())
    runs.around.engine.close()

    assert isinstance(done, Done)
    assert (done.record.outcome, done.record.usage.error_type) == (State.LOST, DRAINED)
    assert job.state() is State.QUEUED


def test_a_slot_that_goes_on_has_the_next_job_of_the_queue_when_its_run_is_over(
    redis_client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    client, runs = runner(redis_url, tmp_path, Engine)
    jobs = client.submit_many(of_command(f"echo {number}") for number in range(40))

    turn = Turn(lambda: True)
    runs.run_job(jobs[0].id, turn)
    taken = [jobs[0].id]
    while (onward := turn.give()) is not None:
        taken.append(onward.claim.job_id)
        turn.begin()
        runs.see_through(onward, turn)
    runs.around.engine.close()

    states = {job.id: job.state() for job in jobs}
    assert len(set(taken)) == len(taken)
    assert set(taken) == {job_id for job_id, state in states.items() if state is State.SUCCEEDED}
    # Those within the window have messages, and wait for them.
    assert list(states.values()).count(State.QUEUED) == WINDOW
