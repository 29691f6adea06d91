"""Attempts on real workers: more memory, another queue, and delays that outlive whoever set them."""

import signal

from scriptfleet.domain.state import State
from scriptfleet.queues.message import message
from tests.command import scriptfleet
from tests.eventually import eventually
from tests.fleet_parts import Fleet, Server, has_ended

HOLDS_150_MIB = "import time; held = b'x' * (150 << 20); time.sleep(0.5); print('enough')"


def runs_of(server: Server, job_id: str) -> list[dict]:
    """Give the job's runs in the order of their attempts, once the store has them all."""
    eventually(lambda: has_ended(server.get(f"/api/v1/jobs/{job_id}").json()))
    found = server.get(f"/api/v1/jobs/{job_id}/runs").json()["runs"]
    return sorted(found, key=lambda run: run["attempt"])


def test_out_of_memory_is_tried_again_with_more_memory_and_each_run_tells_its_limit(fleet: Fleet) -> None:
    server = fleet.server()
    fleet.worker(slots=1)
    rule = {"max_attempts": 5, "initial_delay": 0.1, "oom_memory_factor": 3, "oom_memory_max_mb": 400}

    job = fleet.client().submit_code(HOLDS_150_MIB, limits={"memory_mb": 40}, retry=rule)
    result = job.result(60)

    assert (result.outcome, result.attempts, result.stdout) == (State.SUCCEEDED, 3, "enough\n")
    assert result.usage.memory_limit_mb == 360
    runs = runs_of(server, job.id)
    assert [run["usage"]["memory_limit_mb"] for run in runs] == [40, 120, 360]
    assert [run["outcome"] for run in runs] == ["out_of_memory", "out_of_memory", "succeeded"]
    said = scriptfleet("status", job.id, home=fleet.home, **fleet.environment)
    assert "360.0 MiB" in said.stdout


def test_out_of_memory_at_the_cap_ends_with_the_last_attempt(fleet: Fleet) -> None:
    fleet.worker(slots=1)
    rule = {"max_attempts": 3, "initial_delay": 0.1, "oom_memory_factor": 10, "oom_memory_max_mb": 60}

    result = fleet.client().submit_code(HOLDS_150_MIB, limits={"memory_mb": 40}, retry=rule).result(60)

    assert (result.outcome, result.attempts, result.usage.memory_limit_mb) == (State.OUT_OF_MEMORY, 3, 60)


def test_after_out_of_memory_a_worker_of_the_other_queue_takes_it(fleet: Fleet) -> None:
    server = fleet.server()
    fleet.worker("small", slots=1)
    fleet.worker("large", slots=1, queues="big")
    code = f"import os\nif os.environ['ATTEMPT'] == '1': {HOLDS_150_MIB}"

    job = fleet.client().submit_code(
        code,
        env={"ATTEMPT": "${job.attempt}"},
        limits={"memory_mb": 60},
        retry={"max_attempts": 2, "initial_delay": 0.1, "oom_queue": "big"},
    )
    result = job.result(60)

    assert (result.outcome, result.attempts) == (State.SUCCEEDED, 2)
    assert result.worker is not None
    assert result.worker.startswith("large@")
    assert [(run["queue"], run["worker"].split("@")[0]) for run in runs_of(server, job.id)] == [
        ("default", "small"),
        ("big", "large"),
    ]
    assert "big, priority" in scriptfleet("status", job.id, home=fleet.home, **fleet.environment).stdout


def test_a_delayed_attempt_survives_the_worker_that_set_it(fleet: Fleet) -> None:
    first = fleet.worker("w1", slots=1)
    job = fleet.client().submit_code("import sys; sys.exit(3)", retry={"max_attempts": 2, "initial_delay": 1.0})
    eventually(lambda: job.state() is State.DELAYED, within=60)
    first.end(signal.SIGKILL)
    eventually(lambda: _is_overdue(fleet))

    fleet.worker("w2", slots=1)
    result = job.result(30)

    assert (result.outcome, result.attempts, result.exit_code) == (State.FAILED, 2, 3)
    assert result.worker is not None
    assert result.worker.startswith("w2@")


def _is_overdue(fleet: Fleet) -> bool:
    broker = fleet.client().broker
    seconds, micros = broker.redis.time()
    return bool(broker.redis.zcount(broker.keys("delayed"), "-inf", int(seconds) * 1000 + int(micros) // 1000))


def test_an_older_message_in_a_list_that_its_job_has_left_starts_nothing(fleet: Fleet) -> None:
    small = fleet.worker("small", slots=1)
    broker = fleet.client().broker
    job = fleet.client().submit_shell("true", queue="big")
    text = message("scriptfleet.shell", job.id, "default")
    broker.redis.lpush(broker.keys("celery", "default"), text)

    eventually(lambda: f"not_claimed job={job.id} state=moved" in small.log())

    assert job.state() is State.QUEUED
    fleet.worker("large", slots=1, queues="big")
    assert job.result(30).outcome is State.SUCCEEDED
