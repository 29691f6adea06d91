"""The processes of a run as they were at one moment."""

from typing import Any, Final, NamedTuple, Self

from scriptfleet.domain.value import value

#: More are counted, not named.
MOST_PROCESSES: Final = 50
#: Characters of a command.
LONGEST_COMMAND: Final = 200


class ProcessSeen(NamedTuple):
    """One process."""

    pid: int
    parent_pid: int
    #: What it was started as, without secrets, on one line, cut; its name in brackets where it has no arguments.
    command: str
    #: Its own, not that of its children.
    cpu_seconds: float
    #: Resident, MiB.
    memory_mb: float
    age_seconds: float


@value(frozen=True, slots=True)
class ProcessTree:
    """The script's own process first, then by memory; of more than MOST_PROCESSES the largest."""

    #: Since the start of the run.
    seconds: float
    #: How many there were.
    count: int
    processes: tuple[ProcessSeen, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON data."""
        return {"seconds": self.seconds, "count": self.count, "processes": [one._asdict() for one in self.processes]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what to_dict wrote; names of a newer version are passed over."""
        named = [{name: one[name] for name in ProcessSeen._fields} for one in data["processes"]]
        return cls(data["seconds"], data["count"], tuple(ProcessSeen(**one) for one in named[:MOST_PROCESSES]))
