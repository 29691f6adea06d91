"""States of a job and the only moves between them.

```
            submit                      claim                 end of the run
  (new) ──► queued ───────────────────► running ──► succeeded · failed · timed_out · out_of_memory
       └──► delayed ──due──► queued       │  └────► cancelled · rejected · lost · skipped
              ▲                           │
              └───────── retry ───────────┘   (running ──► queued: its worker was lost, or drained)
  queued and delayed also end as cancelled, expired, skipped or rejected
```
"""

from enum import StrEnum


class State(StrEnum):
    """Where a job stands. ``attempt`` stands apart: a job may be queued for its third attempt."""

    QUEUED = "queued"
    DELAYED = "delayed"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    LOST = "lost"
    SKIPPED = "skipped"

    @property
    def is_final(self) -> bool:
        """Whether the job has ended and can move no more."""
        return self not in LIVE


LIVE = frozenset({State.QUEUED, State.DELAYED, State.RUNNING})
FINAL = frozenset(State) - LIVE

_ENDS_BEFORE_RUNNING = frozenset({State.CANCELLED, State.EXPIRED, State.SKIPPED, State.REJECTED})
_ENDS_OF_A_RUN = FINAL - {State.EXPIRED}

MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING}) | _ENDS_BEFORE_RUNNING,
    State.DELAYED: frozenset({State.QUEUED}) | _ENDS_BEFORE_RUNNING,
    State.RUNNING: frozenset({State.QUEUED, State.DELAYED}) | _ENDS_OF_A_RUN,
    **{state: frozenset() for state in FINAL},
}

#: What `run`, `wait` and `submit --wait` answer when the script has no exit code of its own to give.
EXIT_CODES = {
    State.SUCCEEDED: 0,
    State.TIMED_OUT: 124,
    State.OUT_OF_MEMORY: 137,
    State.CANCELLED: 130,
    State.LOST: 125,
    State.REJECTED: 125,
    State.EXPIRED: 125,
    State.SKIPPED: 0,
}


def can_move(here: State, there: State) -> bool:
    """Tell whether a job may go from one state to the other in one step."""
    return there in MOVES[here]


def exit_code(state: State, script_exit_code: int | None) -> int:
    """Give the exit code a command answers for a job that ended so."""
    if state is State.FAILED:
        return script_exit_code or 1
    return EXIT_CODES[state]
