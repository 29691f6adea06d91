"""The thread that opens rates sleeps until the earliest moment that it knows."""

import threading

from scriptfleet_workers.due_rates import DueRates
from tests.eventually import eventually

HOUR_SECONDS = 3600.0


def test_a_moment_that_is_noted_during_a_look_stands_against_a_later_one_that_the_look_finds() -> None:
    looks = 0
    has_opened = threading.Event()

    def open_due() -> float:
        nonlocal looks
        looks += 1
        if looks == 1:
            rates.note(0.0)
        else:
            has_opened.set()
        return HOUR_SECONDS

    rates = DueRates(open_due)
    rates.start()
    rates.note(0.0)
    try:
        eventually(has_opened.is_set, within=60)
    finally:
        rates.close()
