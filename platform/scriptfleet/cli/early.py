"""The launcher that ``run`` starts before it reads its words, until it is used or turns out to be of no use."""

from __future__ import annotations

from scriptfleet.execution import launching

_started: list[launching.Started] = []


def start() -> None:
    """Start it."""
    try:
        _started.append(launching.start(launching.EARLY_WAY, inherit_stdio=True))
    except OSError:
        # Whoever needs one starts it again, and can tell what is wrong.
        return


def taken() -> launching.Started | None:
    """Give it, once: from now on it is the caller's to end. None where there is none."""
    return _started.pop() if _started else None


def drop() -> None:
    """End it unless it was taken: the words asked for help, or made no sense."""
    if (unused := taken()) is not None:
        unused.end()
