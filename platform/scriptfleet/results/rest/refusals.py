"""What REST refuses, beside what the rooms below refuse."""

from scriptfleet.errors import ScriptfleetError


class WorkerNotFound(ScriptfleetError):
    """No worker of this name is alive."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"worker not found: {name}: see the list of workers for those that are alive")


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


class JobStands(ScriptfleetError):
    """What was asked for cannot be done to a job that stands so; ``state`` says how. Its kinds say what was asked."""

    def __init__(self, job_id: str, state: str, sentence: str) -> None:
        self.job_id, self.state = job_id, state
        super().__init__(sentence)


class JobEnded(JobStands):
    """The job has ended, so long ago that the database alone knows it."""

    def __init__(self, job_id: str, state: str) -> None:
        sentence = f"job {job_id} has already ended: {state}: nothing is left to do about it but to submit it again"
        super().__init__(job_id, state, sentence)


class JobForgotten(JobStands):
    """The broker does not know a job that has not ended, as after it was wiped."""

    def __init__(self, job_id: str, state: str) -> None:
        way = "it is submitted again by itself where its script is still there: ask again in a minute"
        super().__init__(job_id, state, f"the broker has forgotten job {job_id}, last known as {state}: {way}")


class NotDead(JobStands):
    """The job is not on the list of dead jobs."""

    def __init__(self, job_id: str, state: str) -> None:
        sentence = f"job {job_id} is not on the list of dead jobs: {state}: see that list"
        super().__init__(job_id, state, sentence)
