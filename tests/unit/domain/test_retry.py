"""When a job is tried again, and how long after."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptfleet.domain.retry import RETRYABLE, RetryPolicy, RetryStrategy
from scriptfleet.domain.state import State
from scriptfleet.errors import InvalidValue

ATTEMPTS = range(-1, 8)


def delays(strategy: RetryStrategy, **options: Any) -> list[float]:
    policy = RetryPolicy(strategy=strategy, **options)
    return [policy.delay_seconds(attempt, random.Random(1)) for attempt in ATTEMPTS]


@pytest.mark.parametrize(
    ("strategy", "options", "expected"),
    [
        ("linear", {"initial_delay": 2, "max_delay": 30}, [0, 2, 4, 6, 8, 10, 12, 14, 16]),
        ("exponential", {"initial_delay": 2, "max_delay": 30}, [0, 2, 4, 8, 16, 30, 30, 30, 30]),
        ("exponential", {}, [0, 1, 2, 4, 8, 16, 32, 60, 60]),
        ("exponential", {"multiplier": 1.0}, [0, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("fibonacci", {"initial_delay": 2, "max_delay": 30}, [0, 2, 2, 4, 6, 10, 16, 26, 30]),
    ],
)
def test_delays_grow_as_the_strategy_says(strategy: str, options: dict[str, Any], expected: list[float]) -> None:
    assert delays(RetryStrategy(strategy), **options) == expected


@given(st.integers(0, 50), st.integers())
def test_jitter_draws_from_the_upper_half_of_the_exponential_delay(attempt: int, seed: int) -> None:
    whole = RetryPolicy().delay_seconds(attempt, random.Random(0))
    drawn = RetryPolicy(strategy=RetryStrategy.EXPONENTIAL_JITTER).delay_seconds(attempt, random.Random(seed))

    assert whole / 2 <= drawn <= whole


def test_jitter_spreads_attempts_apart() -> None:
    policy, chance = RetryPolicy(strategy=RetryStrategy.EXPONENTIAL_JITTER), random.Random(7)

    assert len({policy.delay_seconds(5, chance) for _ in range(20)}) == 20


@given(st.sampled_from(RetryStrategy), st.integers(-3, 10_000), st.floats(0, 1e9), st.floats(0, 1e9))
def test_no_delay_is_negative_or_above_the_longest(
    strategy: RetryStrategy, attempt: int, initial: float, longest: float
) -> None:
    policy = RetryPolicy(strategy=strategy, initial_delay=initial, max_delay=longest)

    assert 0 <= policy.delay_seconds(attempt, random.Random(1)) <= longest


def test_a_delay_of_zero_stays_zero_however_high_the_attempt() -> None:
    assert RetryPolicy(initial_delay=0).delay_seconds(100_000, random.Random(1)) == 0


def next_delay(policy: RetryPolicy, attempt: int, elapsed: float = 0.0) -> float | None:
    return policy.next_delay(attempt=attempt, elapsed_seconds=elapsed, chance=random.Random(1))


def test_no_attempt_goes_beyond_the_number_allowed() -> None:
    policy = RetryPolicy(max_attempts=3)

    assert [next_delay(policy, attempt) for attempt in (1, 2, 3, 4)] == [1.0, 2.0, None, None]


def test_one_attempt_means_no_retry() -> None:
    assert next_delay(RetryPolicy(), 1) is None


def test_no_attempt_begins_once_the_total_time_is_used_up() -> None:
    policy = RetryPolicy(max_attempts=9, max_total_time=10)

    assert next_delay(policy, 1, elapsed=8.9) == 1.0
    assert next_delay(policy, 1, elapsed=9.0) is None
    assert next_delay(policy, 1, elapsed=99.0) is None


@pytest.mark.parametrize("outcome", State)
def test_only_ends_that_a_retry_can_cure_are_retried(outcome: State) -> None:
    assert RetryPolicy().wants(outcome, None, 1) is (outcome in RETRYABLE)


@pytest.mark.parametrize(
    ("retry_on", "skip_on", "wanted"),
    [
        ((), (), True),
        (("ValueError",), (), True),
        (("KeyError",), (), False),
        (("3",), (), True),
        (("failed",), (), True),
        (("timed_out",), (), False),
        ((), ("ValueError",), False),
        ((), ("3",), False),
        ((), ("KeyError",), True),
        (("ValueError",), ("failed",), False),
    ],
)
def test_error_types_exit_codes_and_outcomes_choose_what_is_retried(
    retry_on: tuple[str, ...], skip_on: tuple[str, ...], wanted: bool
) -> None:
    policy = RetryPolicy(max_attempts=3, retry_on=retry_on, skip_on=skip_on)

    assert policy.wants(State.FAILED, "ValueError", 3) is wanted


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_attempts", 0),
        ("max_attempts", 1001),
        ("strategy", "random"),
        ("initial_delay", -1),
        ("max_delay", float("inf")),
        ("multiplier", 0.5),
        ("max_total_time", "long"),
        ("retry_on", "ValueError"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidValue, match=f"retry.{name}"):
        RetryPolicy.from_dict({name: value})


def test_a_policy_comes_back_as_it_was() -> None:
    policy = RetryPolicy(4, RetryStrategy.FIBONACCI, 0.5, 9.0, 3.0, 60.0, ("A",), ("B",))

    assert RetryPolicy.from_dict(policy.to_dict()) == policy
    assert RetryPolicy().to_dict() == {}
