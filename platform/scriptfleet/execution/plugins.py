"""Executors that installed packages bring along. A module of its own: what it imports takes longer than a short run."""

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Any, Final

GROUP: Final = "scriptfleet.executors"


def installed_executors() -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Give, for each entry point of the group: the kind, where its code is, and what loads the class."""
    for entry in entry_points(group=GROUP):
        package = entry.dist.name if entry.dist is not None else "unknown package"
        yield entry.name, f"{package} ({entry.value})", entry.load
