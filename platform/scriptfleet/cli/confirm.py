"""Asks a person at a terminal before something that many jobs will feel; a script is not asked."""

import sys
from typing import Final

#: So many can be looked over; more are asked about.
FEW: Final = 3


def is_sure(what: str, count: int, is_said: bool) -> bool:
    """Tell whether to go on: ``--yes`` was said, there are few, nobody sits there, or the answer is yes."""
    if is_said or count <= FEW or not sys.stdin.isatty():
        return True
    print(f"{what}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
