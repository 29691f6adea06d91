"""A worker takes no message that would wait in it for a slot."""

from scriptfleet.domain.state import State
from tests.eventually import eventually
from tests.fleet_parts import Fleet, marked


def test_a_slot_that_goes_on_without_messages_holds_back_none(fleet: Fleet) -> None:
    """The first worker's slot goes on with a long job from behind the window; what is in the window is for others."""
    worker = fleet.worker("w1", slots=1)
    client = fleet.client()
    jobs = [client.submit_shell("sleep 0.1") for _ in range(4)]
    long = [client.submit_shell("sleep 12", env={"MARK": "slots-1"}) for _ in range(1)]
    eventually(lambda: marked("slots-1"), within=60)
    late = [client.submit_shell("true") for _ in range(6)]
    fleet.worker("w2", slots=1)

    # Sooner than a message that somebody held back would be sent again.
    assert {job.result(5).outcome for job in late} == {State.SUCCEEDED}
    assert {job.result(20).outcome for job in jobs + long} == {State.SUCCEEDED}
    assert "slot_broke" not in worker.log()
