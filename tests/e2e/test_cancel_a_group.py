"""A whole group is cancelled on a live fleet: what runs dies with its tree, what waits never starts."""

from scriptfleet.domain.state import State
from tests.command import scriptfleet
from tests.eventually import eventually
from tests.fleet_parts import Fleet, marked


def test_every_tree_of_a_group_dies_and_nothing_of_it_starts_any_more(fleet: Fleet) -> None:
    fleet.worker(slots=2)
    client = fleet.client()
    # A child that left its session, one in the background, and a script deaf to TERM.
    trees = ["setsid sleep 300 & sleep 301 & wait", "trap '' TERM; while :; do sleep 0.1; done"]
    running = [client.submit_shell(tree, env={"MARK": "group-g-1"}, grace=0.5, group="g") for tree in trees]
    eventually(lambda: all(job.state() is State.RUNNING for job in running) and marked("group-g-1"))
    waiting = [client.submit_shell("touch started", env={"MARK": "group-g-1"}, group="g") for _ in range(20)]
    other = client.submit_shell("true")

    done = scriptfleet("cancel", "--group", "g", home=fleet.home, **fleet.environment)

    assert (done.returncode, done.stdout) == (0, "20 cancelled before they ran, 2 told to end\n"), done.stderr
    assert {job.wait(60) for job in [*running, *waiting]} == {State.CANCELLED}
    assert marked("group-g-1") == []
    assert all(job.facts()["record"] is None for job in waiting)
    assert other.wait(60) is State.SUCCEEDED
