"""What a worker has for jobs that ask for memory."""

import pytest

from scriptfleet_workers.offer import memory_offered_mb


def test_what_runs_use_of_what_they_asked_for_is_offered_and_counted_against_the_promise() -> None:
    assert memory_offered_mb(1000.0, [(300.0, 200.0), (300.0, 0.0), (0.0, 400.0)]) == pytest.approx(1200.0)


def test_what_a_run_uses_above_what_it_asked_for_is_gone() -> None:
    assert memory_offered_mb(1000.0, [(300.0, 800.0)]) == pytest.approx(1300.0)


def test_nothing_is_offered_where_the_machine_does_not_say() -> None:
    assert memory_offered_mb(None, []) is None
