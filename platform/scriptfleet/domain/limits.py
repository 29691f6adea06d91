"""What one run may use at most."""

from typing import Any, Self

from scriptfleet.domain import check
from scriptfleet.domain.value import content_of, names_of, value
from scriptfleet.errors import InvalidValue

DEFAULT_OUTPUT_BYTES = 10 * 1024 * 1024
#: One PiB in MiB.
MOST_MEMORY_MB = 1 << 30
#: With less the kernel ends what starts the script, before there is a script to end.
LEAST_MEMORY_MB = 1.0


@value(frozen=True, slots=True)
class Limits:
    """Limits of a run; None means none. All but ``output_bytes`` end the run when it goes over."""

    #: Resident memory of the whole process tree, MiB.
    memory_mb: float | None = None
    #: CPU time (user + system) of the whole process tree, seconds.
    cpu_seconds: float | None = None
    #: Processes alive at once in the tree.
    processes: int | None = None
    #: Open files of each process.
    open_files: int | None = None
    #: Size of any one file written, bytes.
    file_size_bytes: int | None = None
    #: Bytes of standard output, and of standard error, that are kept; more is counted and cut.
    output_bytes: int = DEFAULT_OUTPUT_BYTES

    def __post_init__(self) -> None:
        check.optional_number("limits.memory_mb", self.memory_mb, least=LEAST_MEMORY_MB, most=MOST_MEMORY_MB)
        check.optional_duration("limits.cpu_seconds", self.cpu_seconds, above=True)
        check.optional_integer("limits.processes", self.processes, 1, 1_000_000)
        check.optional_integer("limits.open_files", self.open_files, 8, 1_048_576)
        check.optional_integer("limits.file_size_bytes", self.file_size_bytes, 1, 1 << 50)
        check.integer("limits.output_bytes", self.output_bytes, 1024, 1 << 30)

    def to_dict(self) -> dict[str, Any]:
        """Give the fields that differ from the defaults."""
        defaults = Limits()
        return {name: said for name, said in content_of(self).items() if said != getattr(defaults, name)}

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read what to_dict wrote, or what a user gave; an unknown name is refused."""
        given = check.mapping("limits", data)
        known = set(names_of(cls))
        for name in given.keys() - known:
            raise InvalidValue("limits", name, f"one of {', '.join(sorted(known))}")
        return cls(**given)
