"""What follows out of memory: more memory up to a cap, or another queue."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.limits import MOST_MEMORY_MB, Limits
from scriptfleet.domain.retry import RetryPolicy
from scriptfleet.domain.state import State
from scriptfleet.errors import InvalidValue


def spec(memory_mb: float | None = 100, **rule: Any) -> JobSpec:
    return JobSpec("shell", "x", {"command": "true"}, retry=RetryPolicy(5, **rule), limits=Limits(memory_mb=memory_mb))


def test_each_attempt_after_out_of_memory_has_more_up_to_the_cap() -> None:
    job = spec(oom_memory_factor=2, oom_memory_max_mb=500)

    assert [job.after_out_of_memory(times).limits.memory_mb for times in range(5)] == [100, 200, 400, 500, 500]


def test_what_the_worker_must_have_free_grows_as_the_limit_does() -> None:
    rule = RetryPolicy(5, oom_memory_factor=2, oom_memory_max_mb=300)
    job = JobSpec("shell", "x", {"command": "true"}, retry=rule, limits=Limits(memory_mb=100), needs_memory_mb=50)

    assert [job.after_out_of_memory(times).needs_memory_mb for times in range(4)] == [50, 100, 150, 150]
    assert job.after_out_of_memory(1).after_out_of_memory(1) == job.after_out_of_memory(2)


def test_without_a_factor_the_limit_stays() -> None:
    assert spec(oom_queue="big").after_out_of_memory(3).limits.memory_mb == 100
    assert spec(None, oom_queue="big").after_out_of_memory(3).limits.memory_mb is None


@given(st.floats(0.1, MOST_MEMORY_MB), st.floats(1.001, 1000), st.integers(0, 1_000_000))
def test_no_limit_ever_shrinks_or_is_more_than_there_can_be(first: float, factor: float, times: int) -> None:
    policy = RetryPolicy(2, oom_memory_factor=factor)

    assert first <= policy.memory_mb(first, times) <= MOST_MEMORY_MB


def test_all_but_the_limit_of_the_attempt_is_as_it_was_submitted() -> None:
    before = spec(oom_memory_factor=3).to_dict()
    after = spec(oom_memory_factor=3).after_out_of_memory(1).to_dict()

    assert after.pop("limits") == {"memory_mb": 300.0}
    assert before.pop("limits") == {"memory_mb": 100}
    assert after == before


def test_a_rule_for_out_of_memory_holds_beside_a_list_that_does_not_name_it() -> None:
    ruled, plain = RetryPolicy(3, retry_on=("75",), oom_queue="big"), RetryPolicy(3, retry_on=("75",))

    assert ruled.wants(State.OUT_OF_MEMORY, "MemoryLimit", 137)
    assert not plain.wants(State.OUT_OF_MEMORY, "MemoryLimit", 137)
    assert not ruled.wants(State.FAILED, "ValueError", 1)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"oom_memory_factor": 1}, r"retry\.oom_memory_factor: 1 .* above 1 to 1000"),
        ({"oom_memory_factor": float("nan")}, r"retry\.oom_memory_factor: nan .* finite"),
        ({"oom_memory_factor": "2"}, r"retry\.oom_memory_factor: '2'"),
        ({"oom_memory_factor": 2, "oom_memory_max_mb": 0}, r"retry\.oom_memory_max_mb: 0"),
        ({"oom_memory_factor": 2, "oom_memory_max_mb": 99}, r"retry\.oom_memory_max_mb: 99 .* 100, the first limit"),
        ({"oom_memory_max_mb": 500}, r"retry\.oom_memory_max_mb: 500 .* oom_memory_factor beside it"),
        ({"oom_queue": "no/queue"}, r"retry\.oom_queue: 'no/queue'"),
        ({"oom_queue": "big", "skip_on": ("out_of_memory",)}, r"retry\.skip_on: 'out_of_memory'"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_name(rule: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        spec(**rule)


def test_a_factor_needs_something_to_multiply() -> None:
    with pytest.raises(InvalidValue, match=r"oom_memory_factor: 2 .* a memory limit beside it"):
        spec(None, oom_memory_factor=2)


@pytest.mark.parametrize("rule", [{"oom_queue": "big"}, {"oom_memory_factor": 2}])
def test_a_rule_for_another_attempt_needs_another_attempt(rule: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=r"retry\.max_attempts: 1 .* 2 or more"):
        RetryPolicy(**rule)


def test_a_rule_travels_with_its_spec() -> None:
    job = spec(oom_memory_factor=2.5, oom_memory_max_mb=900, oom_queue="big")

    assert JobSpec.from_json(job.to_json()) == job
