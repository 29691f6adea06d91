"""The checker of the fault suite can fail: made-up trials, each with one thing wrong."""

from pathlib import Path

import pytest

from tests.faults.checker import Recorded, Stamped, complaints, read_stamps, restart_seconds

GOOD = Stamped("r1", 1, 10.0, 12.0, has_ended=True)
KILLED = Stamped("r0", 1, 5.0, 8.0)
DONE = Recorded("j1", "r1", 1, "succeeded", is_stale=False)
LOST = Recorded("j1", "r0", 1, "lost", is_stale=False)


def test_nothing_is_wrong_with_a_job_that_ran_once_and_is_recorded_once() -> None:
    assert complaints({"j1": [GOOD]}, {"j1": ["succeeded"]}, [DONE]) == []


def test_nothing_is_wrong_with_a_run_that_was_lost_before_the_next_one_began() -> None:
    assert complaints({"j1": [KILLED, GOOD]}, {"j1": ["succeeded"]}, [LOST, DONE]) == []
    assert restart_seconds({"j1": [KILLED, GOOD]}) == [2.0]


@pytest.mark.parametrize(
    ("runs", "states", "recorded", "said"),
    [
        ([], ["succeeded"], [DONE], "never ran"),
        ([GOOD], [], [DONE], "has 0 recorded states"),
        ([GOOD], ["succeeded", "succeeded"], [DONE], "has 2 recorded states"),
        ([GOOD], ["running"], [DONE], "is recorded as running"),
        ([GOOD], ["failed"], [DONE], "is recorded as failed"),
        ([GOOD], ["succeeded"], [], "has 0 recorded outcomes"),
        ([GOOD], ["succeeded"], [DONE, DONE], "has run r1 recorded twice"),
        ([GOOD], ["succeeded"], [Recorded("j1", "r1", 1, None, False)], "has run r1 without an outcome"),
        ([GOOD], ["succeeded"], [Recorded("j1", "r1", 1, "succeeded", True)], "has 0 recorded outcomes"),
        ([GOOD], ["succeeded"], [Recorded("j1", "r1", 2, "succeeded", False)], "ran as attempt 1 and is recorded as"),
        ([KILLED, GOOD], ["succeeded"], [DONE], "has run r0 without an outcome"),
        ([KILLED], ["succeeded"], [Recorded("j1", "r0", 1, "succeeded", False)], "run r0, which did not end"),
        (
            [GOOD, Stamped("r2", 1, 13.0, 14.0, has_ended=True)],
            ["succeeded"],
            [DONE, Recorded("j1", "r2", 1, "succeeded", False)],
            "has 2 recorded outcomes",
        ),
        (
            [GOOD, Stamped("r2", 1, 11.999, 14.0)],
            ["succeeded"],
            [DONE, Recorded("j1", "r2", 1, "lost", False)],
            "ran twice at once: r1 until 12.0, r2 from 11.999",
        ),
    ],
)
def test_what_is_wrong_is_said(runs: list[Stamped], states: list[str], recorded: list[Recorded], said: str) -> None:
    assert said in "\n".join(complaints({"j1": runs}, {"j1": states}, recorded))


def test_a_job_that_nobody_asked_for_is_said() -> None:
    found = complaints({"j1": [GOOD]}, {"j1": ["succeeded"], "j2": ["succeeded"]}, [DONE])
    assert found == ["job j2 was never asked for"]


def test_stamps_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "job"
    path.write_text("start r0 1 5.0\nalive r0 1 8.0\nstart r1 1 10.0\nalive r1 1 11.0\nend r1 1 12.0\n")
    assert read_stamps(path) == [KILLED, GOOD]
