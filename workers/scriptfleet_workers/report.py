"""What is to be told of a run that has ended, as it lies on disk: so that it can be told later, by another process."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from scriptfleet.domain.state import State
from scriptfleet.queues.claims import Claim


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
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what to_json wrote. Raises ValueError, TypeError or OSError for a file that is not whole."""
        said = json.loads(path.read_text())
        said["state"], said["artifacts"] = State(said["state"]), tuple(said["artifacts"])
        said["claim"] = Claim(**said["claim"])
        return cls(**said)
