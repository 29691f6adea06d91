"""What a command says of interpreters that are to be kept for it and those after it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from scriptfleet.domain.value import value


@value(frozen=True, slots=True)
class Keep:
    """Where, how long, and what in."""

    #: Folder of all state on this machine.
    home: Path
    #: Without a run for so long it ends.
    idle_seconds: float
    #: What modules are imported in.
    env: Mapping[str, str]
    #: Told what is waited for, once that is long.
    tell: Callable[[str], None]
    #: Why none may be used, or nothing.
    obstacle: str = ""
