"""A submitted job, as its producer sees it: state, end, result, output, cancel. Needs Redis alone."""

import codecs
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scriptfleet.domain.run import Artifact, RunRecord
from scriptfleet.domain.state import State, exit_code
from scriptfleet.domain.usage import Usage
from scriptfleet.errors import InvalidValue, JobNotFound, WaitTimedOut
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.rerun import rerun_of

if TYPE_CHECKING:
    from scriptfleet.queues.client import Broker

#: However the news of an end gets lost, it is looked for this often.
_RECHECK_SECONDS = 1.0
#: Whether another attempt has begun is looked for this soon at first, then ever more rarely.
_SHORTEST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_NOTE_OF_GAP = "[scriptfleet: earlier output is with the server]\n"


@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job ended and what its last run cost."""

    job_id: str
    outcome: State
    #: How many runs counted against the retry policy.
    attempts: int
    #: The last run; None when the job never ran.
    run_id: str | None = None
    worker: str | None = None
    usage: Usage = field(default_factory=Usage)
    #: End of the output, at most 64 KiB each; the server has all that was kept.
    stdout: str = ""
    stderr: str = ""
    #: What a python_function returned.
    output_data: Any = None
    #: Why it ended, where it ended without a run.
    reason: str | None = None
    #: Files that the last run kept; ``Job.artifact`` gives their bytes.
    artifacts: list[Artifact] = field(default_factory=list)
    #: How much of what the script reported was refused, and the first reasons.
    reports_refused: int = 0
    report_faults: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """The exit code a shell would see: the script's own, or the one that stands for the outcome."""
        return exit_code(self.outcome, self.usage.exit_code)

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON data."""
        return {
            "job_id": self.job_id,
            "outcome": str(self.outcome),
            "exit_code": self.exit_code,
            "attempts": self.attempts,
            "run_id": self.run_id,
            "worker": self.worker,
            "reason": self.reason,
            "stdout": self.stdout,
            "stderr": self.stderr,
            "output_data": self.output_data,
            "metrics": self.usage.to_dict(),
            "artifacts": [artifact.to_dict() for artifact in self.artifacts],
            "reports_refused": self.reports_refused,
            "report_faults": self.report_faults,
        }


class Job:
    """A handle on a job in the broker. Cheap: it holds the id alone."""

    def __init__(self, job_id: str, broker: "Broker") -> None:
        #: The job's id, also known to Celery and Flower.
        self.id = job_id
        self._broker = broker

    def __repr__(self) -> str:
        return f"Job({self.id!r})"

    def state(self) -> State:
        """Give where the job stands. Raises JobNotFound, BrokerUnreachable."""
        return State(self.facts()["state"])

    def facts(self) -> dict[str, Any]:
        """Give what the broker knows of the job, as plain data. Raises JobNotFound, BrokerUnreachable."""
        with told_plainly(self._broker.url):
            found = self._broker.redis.hgetall(self._broker.keys("job", self.id))
        if b"state" not in found:
            raise JobNotFound(self.id)
        return _facts(self.id, {key.decode(): value.decode(errors="replace") for key, value in found.items()})

    def wait(self, timeout: float | None = None) -> State:
        """Wait for the end and give the final state; ``timeout`` in seconds.

        Raises WaitTimedOut, JobNotFound, BrokerUnreachable, and InvalidValue for a time that is none.
        """
        if timeout is not None and not timeout >= 0:
            raise InvalidValue("timeout", timeout, "seconds, 0 or more, or None to wait for as long as it takes")
        deadline = None if timeout is None else time.monotonic() + timeout
        state = self.state()
        if state.is_final:
            return state
        with told_plainly(self._broker.url), self._broker.redis.pubsub(ignore_subscribe_messages=True) as news:
            news.subscribe(self._broker.keys("done", self.id))
            while not (state := self.state()).is_final:
                left = _RECHECK_SECONDS if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    raise WaitTimedOut(self.id, timeout or 0.0, state)
                news.get_message(timeout=min(left, _RECHECK_SECONDS))
        return state

    def result(self, timeout: float | None = None) -> JobResult:
        """Wait for the end and give the result. Raises WaitTimedOut, JobNotFound, BrokerUnreachable."""
        outcome = self.wait(timeout)
        facts = self.facts()
        if facts["record"] is None:
            return JobResult(self.id, outcome, facts["attempt"], reason=facts["reason"])
        record = RunRecord.from_dict(facts["record"])
        return JobResult(
            job_id=self.id,
            outcome=outcome,
            attempts=facts["attempt"],
            run_id=record.run_id,
            worker=record.worker,
            usage=record.usage,
            stdout=record.stdout.text,
            stderr=record.stderr.text,
            output_data=record.output_data,
            reason=facts["reason"],
            artifacts=record.artifacts,
            reports_refused=record.reports_refused,
            report_faults=record.report_faults,
        )

    def artifact(self, name: str) -> bytes:
        """Give a file that the job's last ended run kept.

        Raises InvalidValue when it kept none of that name, BlobMissing when its bytes are no longer with the broker,
        JobNotFound, BrokerUnreachable.
        """
        record = self.facts()["record"] or {}
        kept = {one["name"]: one for one in record.get("artifacts", [])}
        if name not in kept:
            raise InvalidValue("artifact", name, f"one of those kept: {', '.join(sorted(kept)) or 'none yet'}")
        with told_plainly(self._broker.url):
            return self._broker.blobs.get(kept[name]["sha256"], kept[name]["size_bytes"])

    def logs(self, follow: bool = False) -> Iterator[str]:
        """Give the output, both streams in the order it came, as text pieces.

        With ``follow`` it goes on until the job ends, over all its attempts; without, it gives what is there now.
        The broker keeps about the last MiB of a run; where there was more, a line on stderr says so in its place.
        """
        for _, text in self.output(follow):
            yield text

    def output(self, follow: bool = False) -> Iterator[tuple[str, str]]:
        """Give the output as (stream, text), stream being ``stdout`` or ``stderr``; see logs()."""
        seen: str | None = None
        pause = _SHORTEST_PAUSE_SECONDS
        while True:
            facts = self.facts()
            run_id = facts["run_id"]
            if run_id is not None and run_id != seen:
                seen, pause = run_id, _SHORTEST_PAUSE_SECONDS
                yield from self._run_output(run_id, facts, follow)
            elif facts["state"].is_final or not follow:
                return
            else:
                threading.Event().wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def cancel(self) -> bool:
        """Ask for the end of the job; give whether it had not ended yet. A waiting job ends at once."""
        return self._broker.cancel([self.id])[0] in {"queued", "delayed", "running"}

    def _run_output(self, run_id: str, facts: dict[str, Any], follow: bool) -> Iterator[tuple[str, str]]:
        decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")}
        has_any = is_over = False
        with told_plainly(self._broker.url):
            for piece in self._broker.live_output.follow(run_id, block_ms=200 if follow else 1):
                if piece is not None:
                    has_any = True
                    if piece.has_gap:
                        yield "stderr", _NOTE_OF_GAP
                    yield piece.stream, decoders[piece.stream].decode(piece.content)
                elif not follow or is_over:
                    break
                else:
                    # The last lines may have come after nothing was found and before the end was: one more look.
                    is_over = self._is_over(run_id)
        if not has_any:
            yield from self._recorded_output(run_id)

    def _is_over(self, run_id: str) -> bool:
        facts = self.facts()
        return facts["run_id"] != run_id or facts["state"] is not State.RUNNING

    def _recorded_output(self, run_id: str) -> Iterator[tuple[str, str]]:
        record = self.facts()["record"]
        if record is not None and record["run_id"] == run_id:
            if record["stdout"]["cut_bytes"] or record["stderr"]["cut_bytes"]:
                yield "stderr", _NOTE_OF_GAP
            for stream in ("stdout", "stderr"):
                if text := record[stream]["text"]:
                    yield stream, text


def _facts(job_id: str, found: dict[str, str]) -> dict[str, Any]:
    def moment(name: str) -> float | None:
        return int(found[name]) / 1000 if name in found else None

    return {
        "job_id": job_id,
        "name": found["name"],
        "kind": found["kind"],
        "queue": found["queue"],
        "state": State(found["state"]),
        "priority": int(found["prio"]),
        "attempt": int(found["attempt"]),
        "losses": int(found["losses"]),
        "run_id": found.get("claim"),
        "worker": found.get("worker"),
        "reason": found.get("reason"),
        "is_cancel_asked": "cancel" in found,
        "submitted_at": moment("submitted"),
        "started_at": moment("started"),
        "ended_at": moment("ended"),
        "rerun_of": rerun_of(found["spec"]),
        "record": json.loads(found["record"]) if "record" in found else None,
    }
