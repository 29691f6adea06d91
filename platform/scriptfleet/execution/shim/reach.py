"""How far a shim reaches: as the subreaper of its tree, which nothing can leave. groups.py is for other systems."""

from __future__ import annotations

import os

from scriptfleet.execution.shim import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Set
    from typing import Protocol

    class Reach(Protocol):
        """What ends a run's processes."""

        #: How often it must be asked for what is left, seconds; None where an end announces itself.
        look_seconds: float | None

        def signal(self, signum: int, spared: Set[int] = frozenset()) -> set[int]:
            """Send a signal to all but the spared ones; give those it was meant for."""

        def kill(self) -> None:
            """Kill all, so that none can fork away meanwhile."""

        def is_left(self) -> bool:
            """Tell whether there is one that this shim cannot wait for."""


class Subreaper:
    """Every process below this one: orphans come back to it."""

    look_seconds: float | None = None

    def signal(self, signum: int, spared: Set[int] = frozenset()) -> set[int]:
        """Send a signal to the tree."""
        return tree.signal_tree(os.getpid(), signum, spared)

    def kill(self) -> None:
        """Kill the tree."""
        tree.kill_tree(os.getpid())

    def is_left(self) -> bool:
        """Nothing of the run is where this process could not wait for it."""
        return False
