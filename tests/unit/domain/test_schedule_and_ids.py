"""Slots of a schedule neither drift nor pile up; ids are what tools expect."""

import uuid
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptfleet.domain.ids import new_job_id, new_run_id, slot_job_id
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.schedule import Schedule
from scriptfleet.errors import InvalidValue

SPEC = JobSpec("shell", "echo", {"command": "echo"})


def every(seconds: float) -> Schedule:
    return Schedule("s1", "nightly", SPEC, seconds, next_due_ms=1_000)


def test_a_schedule_fired_late_does_not_drift() -> None:
    due, slots = 1_000, []
    for late in (3, 250, 999, 0, 120):
        slots.append(due)
        due = every(1.0).due_after(due, due + late)

    assert slots == [1_000, 2_000, 3_000, 4_000, 5_000]


def test_slots_that_were_missed_coalesce_into_one() -> None:
    assert every(1.0).due_after(1_000, 61_500) == 62_000


def test_a_slot_that_is_due_right_now_is_not_fired_twice() -> None:
    assert every(1.0).due_after(1_000, 2_000) == 3_000


def test_a_clock_set_back_makes_no_slot_earlier() -> None:
    assert every(1.0).due_after(10_000, 2_000) == 11_000


@given(st.integers(0, 2**45), st.integers(0, 2**45), st.integers(100, 10**9))
def test_the_next_slot_is_later_than_now_and_on_the_grid(due: int, now: int, step: int) -> None:
    slot = every(step / 1000).due_after(due, now)

    assert slot > max(due, now)
    assert (slot - due) % step == 0
    assert slot - max(due, now) <= step


@pytest.mark.parametrize("seconds", [0, 0.05, -1, float("nan")])
def test_an_interval_that_cannot_be_is_refused(seconds: float) -> None:
    with pytest.raises(InvalidValue, match="every"):
        every(seconds)


@pytest.mark.parametrize("field", [{"idempotency_key": "k"}, {"not_before": 5.0}, {"expires_at": 5.0}])
def test_what_holds_for_one_job_alone_is_refused(field: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=f"{next(iter(field))}: .* many times"):
        Schedule("s1", "nightly", replace(SPEC, **field), 60, next_due_ms=1_000)


def test_a_slot_has_one_job_id_whoever_fires_it() -> None:
    assert slot_job_id("s1", 1_000) == slot_job_id("s1", 1_000)
    assert len({slot_job_id("s1", 1_000), slot_job_id("s1", 2_000), slot_job_id("s2", 1_000)}) == 3


def test_job_ids_are_uuids_and_never_the_same() -> None:
    ids = {new_job_id() for _ in range(1_000)}

    assert len(ids) == 1_000
    assert all(uuid.UUID(job_id).version == 4 for job_id in ids)
    assert len({new_run_id() for _ in range(1_000)}) == 1_000
