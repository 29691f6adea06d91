"""The moves between states, and the exit codes that states stand for."""

import pytest

from scriptfleet.domain.state import EXIT_CODES, FINAL, LIVE, MOVES, State, can_move, exit_code


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_state_moves_nowhere(state: State) -> None:
    assert state.is_final
    assert not any(can_move(state, there) for there in State)


def test_every_state_has_its_row_of_moves() -> None:
    assert set(MOVES) == set(State)


def test_every_state_can_be_reached_from_a_submit() -> None:
    reached, waiting = set(), [State.QUEUED, State.DELAYED]
    while waiting:
        here = waiting.pop()
        reached.add(here)
        waiting += MOVES[here] - reached

    assert reached == set(State)


def test_every_live_state_leads_to_an_end() -> None:
    assert all(MOVES[here] & FINAL for here in LIVE)


def test_a_job_runs_only_out_of_the_queue() -> None:
    assert [here for here in State if can_move(here, State.RUNNING)] == [State.QUEUED]


def test_a_running_job_never_expires() -> None:
    assert not can_move(State.RUNNING, State.EXPIRED)


def test_no_state_moves_to_itself() -> None:
    assert not any(can_move(state, state) for state in State)


@pytest.mark.parametrize(
    ("state", "script", "expected"),
    [
        (State.SUCCEEDED, 0, 0),
        (State.FAILED, 3, 3),
        (State.FAILED, 139, 139),
        (State.FAILED, None, 1),
        (State.FAILED, 0, 1),
        (State.TIMED_OUT, 143, 124),
        (State.OUT_OF_MEMORY, 137, 137),
        (State.CANCELLED, 143, 130),
        (State.LOST, None, 125),
        (State.REJECTED, None, 125),
        (State.EXPIRED, None, 125),
        (State.SKIPPED, None, 0),
    ],
)
def test_a_command_answers_the_exit_code_of_the_outcome(state: State, script: int | None, expected: int) -> None:
    assert exit_code(state, script) == expected


def test_every_final_state_but_failed_has_an_exit_code_of_its_own() -> None:
    assert set(EXIT_CODES) == FINAL - {State.FAILED}
