"""A job of a kind that no worker has ends, and does not hold up its queue."""

from scriptfleet.domain import kinds
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.state import State
from scriptfleet.queues.drafts import Draft
from tests.fleet_parts import Fleet


def test_a_job_of_a_kind_that_the_worker_lacks_is_rejected_with_its_name(fleet: Fleet) -> None:
    worker = fleet.worker(slots=1)
    client = fleet.client()
    kinds.register_kind("from_elsewhere")
    alien = JobSpec(kind="from_elsewhere", config={"any": 1}, name="alien")
    jobs = client.submit_many([Draft(alien) for _ in range(40)])
    after = client.submit_shell("echo after")

    results = [job.result(30) for job in jobs]

    assert {result.outcome for result in results} == {State.REJECTED}
    message = results[0].usage.error_message
    assert "kind: 'from_elsewhere' is not accepted" in message
    assert results[0].worker in message
    assert after.result(20).stdout == "after\n"
    assert worker.popen.poll() is None
