"""Long jobs run once, whatever Celery believes of their messages; a lost worker's job goes on elsewhere soon."""

import signal
import time
from pathlib import Path

from scriptfleet.domain.state import State
from scriptfleet.queues.job_handle import Job
from tests.broker_server import BrokerServer
from tests.eventually import eventually
from tests.faults.trial import Size
from tests.fleet_parts import Fleet, marked

IMPATIENT = "tests.faults.impatient_app"


def submit_long(fleet: Fleet, starts: Path, seconds: float, mark: str) -> Job:
    job = fleet.client().submit_shell(f"echo started >> {starts}; sleep {seconds}", env={"MARK": mark})
    eventually(lambda: marked(mark))
    return job


def test_a_long_job_runs_once_with_a_short_visibility_timeout_and_while_the_broker_is_away(
    fleet: Fleet, broker: BrokerServer, size: Size, tmp_path: Path
) -> None:
    impatience = {"VISIBILITY_TIMEOUT": str(size.seconds(2, 10))}
    for name in ("w1", "w2"):
        fleet.worker(name, slots=1, env=impatience, app=IMPATIENT)
    job = submit_long(fleet, tmp_path / "starts", size.seconds(18, 170), "long-1")

    # At two minutes a lease is a minute long.
    time.sleep(size.seconds(4, 125))
    broker.kill()
    time.sleep(size.seconds(8, 30))
    broker.start()

    assert job.result(size.seconds(60, 120)).outcome is State.SUCCEEDED
    assert (tmp_path / "starts").read_text() == "started\n"
    assert (job.facts()["attempt"], job.facts()["losses"]) == (1, 0)


def test_a_young_job_of_a_killed_worker_starts_elsewhere_within_20_seconds(fleet: Fleet, tmp_path: Path) -> None:
    lost = fleet.worker("w1", slots=1)
    job = submit_long(fleet, tmp_path / "starts", 300, "young-1")
    first = marked("young-1")
    fleet.worker("w2", slots=1)

    lost.end(signal.SIGKILL)
    eventually(lambda: not set(first) & set(marked("young-1")))
    eventually(lambda: (tmp_path / "starts").read_text() == "started\nstarted\n", within=60)

    assert job.facts()["worker"].startswith("w2@")
    assert (job.facts()["attempt"], job.facts()["losses"]) == (1, 1)
    job.cancel()
    eventually(lambda: marked("young-1") == [])
