"""What is to be told of a run that has ended, as it lies on disk: so that it can be told later, by another process."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from scriptfleet.domain.state import State
from scriptfleet.queues.claims import Claim

#: Of the file's format.
VERSION: Final = 2
_READABLE: Final = (1, 2)


class NotReadable(Exception):
    """A file that this version cannot read as a report."""


@dataclass(frozen=True, slots=True)
class Report:
    """One run's report. Its files lie in ``folder``: stdout, stderr, and artifacts by their SHA-256."""

    claim: Claim
    #: The run's record as JSON.
    record: str
    #: Where the job goes now, and after how many seconds.
    state: State
    delay_seconds: float
    #: Whether giving the job back counts against the losses allowed.
    is_loss: bool
    #: SHA-256 of each artifact.
    artifacts: tuple[str, ...] = ()
    #: The queue of the next attempt, None for the one it was in; and whether it is one after out of memory.
    queue: str | None = None
    is_out_of_memory: bool = False
    #: The lane of the next attempt, None for the one it was in.
    lane: str | None = None
    #: Whether the broker has the record already: what is left to send is the run's output and artifacts.
    is_told: bool = False

    @property
    def job_id(self) -> str:
        """The job it was a run of."""
        return self.claim.job_id

    @property
    def run_id(self) -> str:
        """The run."""
        return self.claim.run_id

    def to_json(self) -> str:
        """Give the text that is kept."""
        return json.dumps({"version": VERSION, **asdict(self)})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what to_json wrote. Raises NotReadable for what is no report, or one of another version; OSError."""
        try:
            said = json.loads(path.read_text())
            version = said.pop("version")
            if version in _READABLE:
                said["state"], said["artifacts"] = State(said["state"]), tuple(said["artifacts"])
                said["claim"] = Claim(**said["claim"])
                return cls(**said)
        except (ValueError, TypeError, KeyError, AttributeError) as fault:
            raise NotReadable(f"{path} is no report: {fault!r}") from fault
        raise NotReadable(f"{path} is of version {version!r}, this worker reads {VERSION}")
