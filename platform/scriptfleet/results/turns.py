"""How long a thread of the service computes while another waits for the interpreter."""

import sys
from typing import Final

#: Python's own 5 ms are as long as the database takes for a hundred runs: it would stand still meanwhile.
_TURN_SECONDS: Final = 0.0005


def take_short_turns() -> None:
    """Have threads give way sooner: those that feed the database, and those that answer requests."""
    sys.setswitchinterval(_TURN_SECONDS)
