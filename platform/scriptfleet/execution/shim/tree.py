"""The tree of a run: every process below its shim. Orphans come back to the shim, so the tree is whole."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Set

_SIGKILL, _SIGSTOP = 9, 19
#: Rounds of looking for new processes before the kill; a fork bomb is frozen in a few.
_ROUNDS = 50


def children_of(pid: int) -> list[int]:
    """Give the children of a process, of all its threads; empty when it is gone."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    found: list[int] = []
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as listing:
                found += map(int, listing.read().split())
        except OSError:
            continue
    return found


def descendants_of(pid: int) -> list[int]:
    """Give every process below ``pid``, parents before children."""
    found: list[int] = []
    waiting = children_of(pid)
    while waiting:
        here = waiting.pop()
        found.append(here)
        waiting += children_of(here)
    return found


def signal_tree(pid: int, signum: int, spared: Set[int] = frozenset()) -> set[int]:
    """Send a signal to every process below ``pid`` but the spared ones; give those it was meant for."""
    meant = set(descendants_of(pid)) - spared
    send(meant, signum)
    return meant


def kill_tree(pid: int) -> None:
    """Kill every process below ``pid``."""
    kill_found(lambda: set(descendants_of(pid)))


def kill_found(find: Callable[[], Set[int]]) -> None:
    """Kill what ``find`` finds. All are stopped first, so that none can fork away meanwhile."""
    known: set[int] = set()
    for _ in range(_ROUNDS):
        fresh = find() - known
        if not fresh:
            break
        send(fresh, _SIGSTOP)
        known |= fresh
    send(known, _SIGKILL)


def kill_with_tree(pid: int) -> None:
    """Kill a process and every process below it."""
    kill_tree(pid)
    send([pid], _SIGKILL)


def send(pids: Iterable[int], signum: int) -> None:
    """Send a signal to processes; those that are gone or not ours to signal are passed over."""
    for pid in pids:
        try:
            os.kill(pid, signum)
        except (ProcessLookupError, PermissionError):
            continue
