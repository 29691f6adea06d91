"""What REST refuses, beside what the rooms below refuse."""

from scriptfleet.errors import ScriptfleetError


class WorkerNotFound(ScriptfleetError):
    """No worker of this name is alive."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"worker not found: {name}: GET /api/v1/workers lists those alive")


class ArtifactNotFound(ScriptfleetError):
    """The run kept no file of this name or sum."""

    def __init__(self, run_id: str, name: str) -> None:
        self.run_id, self.name = run_id, name
        super().__init__(f"artifact not found: {name}: GET /api/v1/runs/{run_id}/artifacts lists what the run kept")


class ArtifactGone(ScriptfleetError):
    """The broker has let the bytes go."""

    def __init__(self, name: str, sha256: str) -> None:
        self.name, self.sha256 = name, sha256
        super().__init__(f"artifact gone: {name}: its bytes stay with the broker for some hours after the run alone")


class ServiceBusy(ScriptfleetError):
    """All seats of those that wait or follow are taken."""

    def __init__(self, what: str, seats: int) -> None:
        self.what, self.seats = what, seats
        super().__init__(f"busy: {seats} {what} at once are the most: ask again in some seconds")


class RangeNotSatisfiable(ScriptfleetError):
    """A range that begins after the end."""

    def __init__(self, said: str, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        super().__init__(f"range not satisfiable: {said}: there are {size_bytes} bytes")
