"""What follows a commit is done beside the next one, in order, and its faults are told."""

import threading

import pytest

from scriptfleet.results.afterwards import Afterwards


def test_what_follows_is_done_in_another_thread_and_is_over_once_it_is_settled() -> None:
    after, may_end, done = Afterwards(), threading.Event(), list[int]()

    def act() -> None:
        may_end.wait(30)
        done.append(threading.get_ident())

    after.do(act)
    assert done == []
    may_end.set()
    after.settle()

    assert done != [threading.get_ident()]
    assert len(done) == 1
    after.close()


def test_a_fault_is_told_once_and_what_comes_next_is_done_all_the_same() -> None:
    after, done = Afterwards(), list[int]()

    def stumble() -> None:
        raise LookupError("the first")

    after.do(stumble)
    with pytest.raises(LookupError, match="the first"):
        after.do(lambda: done.append(2))
    after.settle()

    assert done == [2]
    after.close()


def test_a_fault_of_the_last_thing_is_told_by_the_end() -> None:
    after = Afterwards()

    def stumble() -> None:
        raise LookupError("the last")

    after.do(stumble)
    with pytest.raises(LookupError, match="the last"):
        after.close()
