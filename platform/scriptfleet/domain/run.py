"""A run: one attempt at a job, from its claim to its end."""

from collections.abc import Mapping
from typing import Any, Self

from scriptfleet.domain.process_tree import ProcessTree
from scriptfleet.domain.sample import Sample, joined
from scriptfleet.domain.state import State
from scriptfleet.domain.usage import Usage
from scriptfleet.domain.value import field, value
from scriptfleet.errors import InvalidValue

RECORD_VERSION = 1

_POINT_NUMBERS = 4


@value(frozen=True, slots=True)
class OutputTail:
    """The end of one output stream, as it travels with the record. Bytes, decoded with replacement."""

    text: str
    #: Bytes of the whole stream that the stored output does not hold.
    cut_bytes: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON data."""
        return {"text": self.text, "cut_bytes": self.cut_bytes}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what to_dict wrote; names of a newer version are passed over."""
        return cls(data["text"], data.get("cut_bytes", 0))


@value(frozen=True, slots=True)
class Artifact:
    """A file that the script asked to keep. Its bytes stay with the broker for some hours, under their SHA-256."""

    name: str
    size_bytes: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON data."""
        return {"name": self.name, "size_bytes": self.size_bytes, "sha256": self.sha256}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what to_dict wrote; names of a newer version are passed over."""
        return cls(data["name"], data["size_bytes"], data["sha256"])


@value(frozen=True, slots=True)
class RunRecord:
    """All that is known of a run once it has ended: what a worker reports and `result()` gives."""

    run_id: str
    job_id: str
    #: Counts against the retry policy, from 1.
    attempt: int
    worker: str
    host: str
    #: Why it ended, apart from its exit code.
    outcome: State
    usage: Usage
    stdout: OutputTail = OutputTail("")
    stderr: OutputTail = OutputTail("")
    #: What a python_function returned.
    output_data: Any = None
    #: The cost curve.
    curve: list[Sample] = field(default_factory=list)
    #: What the script asked to keep and was kept.
    artifacts: list[Artifact] = field(default_factory=list)
    #: How much of what the script reported was refused, and the first reasons.
    reports_refused: int = 0
    report_faults: list[str] = field(default_factory=list)
    #: The queue that this attempt was claimed from; None on a machine of one's own.
    queue: str | None = None
    #: Its processes when they were most; None for a run too short to have looked.
    process_tree: ProcessTree | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON data, with unknown measures left out."""
        return {
            "v": RECORD_VERSION,
            "run_id": self.run_id,
            "job_id": self.job_id,
            "attempt": self.attempt,
            "worker": self.worker,
            "host": self.host,
            "outcome": str(self.outcome),
            "usage": self.usage.known(),
            "stdout": self.stdout.to_dict(),
            "stderr": self.stderr.to_dict(),
            "output_data": self.output_data,
            # Points of four numbers, as versions before the one that tells I/O read them.
            "curve": [point[:_POINT_NUMBERS] for point in self.curve],
            "curve_io": _io_of(self.curve),
            "artifacts": [artifact.to_dict() for artifact in self.artifacts],
            "reports_refused": self.reports_refused,
            "report_faults": self.report_faults,
            "queue": self.queue,
            "process_tree": self.process_tree and self.process_tree.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what to_dict wrote; names of a newer worker are passed over, a newer version is refused by name."""
        require_known_version(data)
        return cls(
            run_id=data["run_id"],
            job_id=data["job_id"],
            attempt=data["attempt"],
            worker=data["worker"],
            host=data["host"],
            outcome=State(data["outcome"]),
            usage=Usage.from_dict(data["usage"]),
            stdout=OutputTail.from_dict(data["stdout"]),
            stderr=OutputTail.from_dict(data["stderr"]),
            output_data=data.get("output_data"),
            curve=joined(data.get("curve", []), data.get("curve_io")),
            artifacts=[Artifact.from_dict(artifact) for artifact in data.get("artifacts", [])],
            reports_refused=data.get("reports_refused", 0),
            report_faults=list(data.get("report_faults", [])),
            queue=data.get("queue"),
            process_tree=ProcessTree.from_dict(tree) if (tree := data.get("process_tree")) else None,
        )


def require_known_version(record: Mapping[str, Any]) -> None:
    """Raise InvalidValue for a record, as it travels, of a newer version than this program knows."""
    version = record.get("v", RECORD_VERSION)
    if not isinstance(version, int) or version > RECORD_VERSION:
        raise InvalidValue("record.v", version, f"a record of version {RECORD_VERSION} or older: upgrade this one")


def _io_of(curve: list[Sample]) -> list[tuple[int | None, int | None]] | None:
    found = [(point.block_io_read_bytes, point.block_io_write_bytes) for point in curve]
    return found if any(one != (None, None) for one in found) else None
