"""Why a run took its time, from what it cost."""

from dataclasses import replace

from scriptfleet.domain.slowness import reasons
from scriptfleet.domain.usage import Usage

RUN = Usage(execution_time_seconds=10.0, user_time_seconds=0.5, system_time_seconds=0.0)


def kinds(usage: Usage) -> list[str]:
    return [reason.kind for reason in reasons(usage)]


def test_nothing_is_said_of_a_run_whose_time_is_not_known() -> None:
    assert reasons(Usage(user_time_seconds=3.0)) == []
    assert reasons(Usage(execution_time_seconds=0.0)) == []


def test_a_run_that_slept_waited() -> None:
    (found,) = reasons(RUN)

    assert (found.kind, found.seconds, found.share) == ("waiting", 9.5, 0.95)


def test_a_run_that_computed_is_bound_by_cpu_and_says_on_how_many_cores() -> None:
    (found,) = reasons(replace(RUN, user_time_seconds=25.0))

    assert (found.kind, found.share) == ("cpu", 1.0)
    assert "2.5 cores" in found.sentence


def test_the_greatest_share_comes_first_and_the_wait_counts_for_the_whole() -> None:
    usage = replace(RUN, queue_wait_seconds=30.0, io_stalled_seconds=8.0)

    assert kinds(usage) == ["queue_wait", "io"]
    assert reasons(usage)[0].share == 0.75


def test_what_explains_a_tenth_or_a_moment_is_left_out() -> None:
    assert kinds(replace(RUN, memory_stalled_seconds=0.9, user_time_seconds=9.0)) == ["cpu"]
    short = Usage(execution_time_seconds=0.06, user_time_seconds=0.06, system_time_seconds=0.0, queue_wait_seconds=0.02)
    assert kinds(short) == ["cpu"]


def test_throttling_and_memory_near_its_limit_are_named() -> None:
    usage = replace(RUN, user_time_seconds=9.0, cpu_throttled_seconds=4.0, memory_percent=97.2)

    assert kinds(usage) == ["cpu", "throttled", "memory_limit"]
    assert reasons(usage)[-1].share is None
    assert "97 %" in reasons(usage)[-1].sentence


def test_a_start_that_took_long_is_named() -> None:
    assert kinds(replace(RUN, start_overhead_seconds=2.0)) == ["waiting", "start"]
