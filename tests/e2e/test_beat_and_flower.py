"""Schedules fire each slot once, whoever is there to fire it; Flower shows jobs as people know them."""

import signal
import time

from scriptfleet.domain.kinds import Source
from scriptfleet.domain.schedule import Schedule
from scriptfleet.domain.state import State
from scriptfleet.queues import drafts
from scriptfleet.storage.engine import open_store
from scriptfleet.storage.schedules import ScheduleStore
from tests.e2e.test_fleet_runs_jobs import stored_runs
from tests.eventually import eventually
from tests.fleet_parts import Fleet
from tests.flower import Flower


def add_schedule(fleet: Fleet, every_seconds: float) -> None:
    draft = drafts.of_code("print('tick')", [], 1 << 20, name="tick.py")
    assert draft.spec.source == Source.of(draft.content or b"", "file")
    schedule = Schedule("s1", "tick", draft.spec, every_seconds, round(time.time() * 1000))
    ScheduleStore(open_store(fleet.database_url)).add(schedule, draft.content)


def test_two_beats_fire_each_slot_once_and_one_that_is_killed_is_not_missed(fleet: Fleet) -> None:
    server = fleet.server()
    fleet.worker()
    add_schedule(fleet, 0.5)
    first, second = fleet.beat("beat1"), fleet.beat("beat2")
    eventually(lambda: "slot_fired" in first.log() + second.log(), within=60)
    leader = first if "slot_fired" in first.log() else second

    leader.end(signal.SIGKILL)
    fired_before = len(stored_runs(server))
    eventually(lambda: len([run for run in stored_runs(server) if run["outcome"]]) >= fired_before + 4, within=60)

    runs = stored_runs(server)
    slots = {run["job_id"] for run in runs}
    assert len(slots) == len(runs)
    assert {run["outcome"] for run in runs if run["outcome"]} == {"succeeded"}
    jobs = server.get("/api/v1/jobs", schedule="tick", limit=200).json()["jobs"]
    assert {job["job_id"] for job in jobs} >= slots


def test_a_schedule_outlives_the_brokers_copy_of_its_script(fleet: Fleet) -> None:
    server = fleet.server()
    add_schedule(fleet, 600)
    broker = fleet.client().broker
    fleet.beat()
    eventually(lambda: broker.redis.scard(broker.keys("queues")), within=60)

    fleet.worker(slots=1)

    run = eventually(lambda: [run for run in stored_runs(server) if run["outcome"]], within=60)[0]
    assert (run["name"], run["outcome"]) == ("tick.py", "succeeded")


def test_flower_shows_jobs_by_script_name_with_arguments_state_and_runtime(fleet: Fleet) -> None:
    flower = Flower(fleet)
    fleet.worker(slots=1)
    client = fleet.client()
    good = client.submit_code("print(1)", args=["--day", "monday"], name="report.py")
    bad = client.submit_shell("exit 4", name="broken.sh")
    assert good.wait(30) is State.SUCCEEDED
    assert bad.wait(30) is State.FAILED

    def shown() -> dict:
        tasks = flower.tasks()
        assert tasks[good.id]["state"] == "SUCCESS"
        assert tasks[bad.id]["state"] == "FAILURE"
        return tasks

    tasks = eventually(shown)
    assert tasks[good.id]["name"] == "report.py"
    assert tasks[good.id]["args"] == '["--day", "monday"]'
    assert tasks[good.id]["runtime"] > 0
    assert "exit code 4" in tasks[bad.id]["exception"]
