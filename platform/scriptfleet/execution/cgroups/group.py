"""The port of a run's control group, and the null object for machines without."""

import contextlib
import os
import select
import signal
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from scriptfleet.domain.limits import Limits

#: Rounds of killing what is in a group, and seconds between: what forks meanwhile is met by the next.
_ROUNDS: Final = 100
_ROUND_SECONDS: Final = 0.01


class GroupReading(NamedTuple):
    """What the kernel says of a run's group. None where this kernel or hierarchy does not say it."""

    #: User and system time of every process that ever was in it, seconds.
    cpu_seconds: float | None = None
    #: Largest charge so far, page cache included, bytes.
    charged_peak_bytes: int | None = None
    #: Processes the kernel killed for want of memory in it.
    oom_kills: int = 0
    #: Forks refused by its limit of processes.
    forks_refused: int = 0
    #: How long it was kept from running by a CPU quota, its own or that of the group above, seconds over all cores.
    throttled_seconds: float | None = None
    #: Time in which some process of it waited for CPU, memory or I/O, seconds by kind (PSI); empty without.
    stalled_seconds: tuple[tuple[str, float], ...] = ()


class Refusals(NamedTuple):
    """What the kernel refused a run's group so far."""

    #: Processes it killed for want of memory.
    oom_kills: int = 0
    #: Forks over its limit of processes.
    forks: int = 0


class RunGroup(Protocol):
    """The group of one run."""

    #: ``cgroup2`` or ``cgroup1``.
    method: str

    def enter(self) -> list[str]:
        """Give the files into which the shim writes itself before it starts the script."""

    def after_start(self) -> list[tuple[str, str]]:
        """Give (file, content) that the shim writes once it has left again."""

    def cpu_seconds(self) -> float | None:
        """Give the CPU time so far: one read."""

    def refusals(self) -> Refusals:
        """Give what was refused so far."""

    def read(self) -> GroupReading:
        """Give all that the kernel says now."""

    def end(self) -> None:
        """Kill whatever is still in it, for when nobody else is left to do so."""

    def remove(self) -> None:
        """Delete the group; its processes are gone."""


class Hierarchy(Protocol):
    """A place where groups can be made."""

    #: ``cgroup2`` or ``cgroup1``.
    method: str
    #: Why this one, or what it lacks; for people.
    why: str
    #: The files by which a shim comes back to where it was started.
    home: list[str]

    def make(self, name: str, limits: Limits) -> RunGroup:
        """Make the group of a run, with its limits. Raises OSError."""

    def clean_up(self) -> None:
        """Delete groups of processes of ours that are no more."""


def group_name(run: int) -> str:
    """Give the name of a group: this process's number and the run's, so that leftovers can be told."""
    return f"scriptfleet-{os.getpid()}-{run}"


def remove_leftovers(base: str) -> None:
    """Delete the groups below a folder that bear the number of a process that is no more."""
    for folder in Path(base).glob("scriptfleet-*-*"):
        if not Path("/proc", folder.name.split("-")[1]).exists():
            remove_folder(str(folder))


def read_text(path: str) -> str | None:
    """Give a small file's text, or None when it is not there or not for us."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return None


def write_text(path: str, content: str) -> None:
    """Write a control file; raises OSError with the path in it."""
    with open(path, "w", encoding="ascii") as file:
        file.write(content)


def remove_folder(folder: str) -> None:
    """Delete a group whose processes are gone, and groups that they made below it, as an engine inside a run does."""
    try:
        os.rmdir(folder)
    except OSError:
        for below, _, _ in os.walk(folder, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(below)


def kill_members(folder: str) -> None:
    """Kill every process of a group and of groups below it, again until none is left."""
    for _ in range(_ROUNDS):
        members = [pid for below, _, _ in os.walk(folder) for pid in (read_text(f"{below}/cgroup.procs") or "").split()]
        if not members:
            return
        for pid in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(pid), signal.SIGKILL)
        select.select([], [], [], _ROUND_SECONDS)


def field_of(text: str | None, name: str) -> int | None:
    """Give the number behind a name in a file of ``name number`` lines."""
    for line in (text or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return None
