"""What a run that goes on sends to the page that shows it: its output, its curve so far, its end."""

import json
import time
from collections.abc import Iterator
from typing import Any, Final

from scriptfleet.domain.process_tree import ProcessTree
from scriptfleet.errors import JobNotFound
from scriptfleet.queues.connection import told_plainly
from scriptfleet.results.pages.curve import chart_data, missed_samples
from scriptfleet.results.pages.live_line import PageEvent
from scriptfleet.results.pages.process_rows import tree_rows
from scriptfleet.results.pages.sources import Sources
from scriptfleet.results.rest.live_curve import curve_in
from scriptfleet.results.rest.process_trees import live_tree
from scriptfleet.results.shown import OutputText
from scriptfleet.storage.record_row import STREAMS
from scriptfleet.storage.run_store import RunRow

_BLOCK_MS: Final = 250
_LOOK_SECONDS: Final = 0.5
#: After the live output's end, or without any: how soon the store is asked again for the end.
_IDLE_SECONDS: Final = 0.25


class RunEvents:
    """Follows one run. Raises BrokerUnreachable, StoreUnreachable, RunNotFound."""

    def __init__(self, sources: Sources, run_id: str, after: str) -> None:
        self._sources, self._run_id, self._after = sources, run_id, after or "0"
        self._texts = {stream: OutputText() for stream in STREAMS}
        self._has_ended = False
        self._last_reading: dict[str, Any] = {}
        self._last_tree: ProcessTree | None = None

    def follow(self) -> Iterator[PageEvent | None]:
        """Give events until the run has ended, and one that says so."""
        looked_at = float("-inf")
        while not self._sources.leaving.is_set():
            yield from self._output()
            if time.monotonic() - looked_at < _LOOK_SECONDS:
                continue
            looked_at = time.monotonic()
            run = self._sources.runs.get(self._run_id)
            if run.outcome is not None:
                yield from self._output()
                yield PageEvent("end", {"outcome": run.outcome})
                return
            yield self._reading(run)
            yield self._processes(run)

    def _output(self) -> Iterator[PageEvent | None]:
        if self._has_ended:
            self._sources.leaving.wait(_IDLE_SECONDS)
            yield None
            return
        broker = self._sources.client.broker
        with told_plainly(broker.url):
            new = broker.live_output.since(self._run_id, self._after, _BLOCK_MS)
        self._after, self._has_ended = new.last, new.has_ended
        pieces = [[stream, self._texts[stream].add(content)] for stream, content in new.pieces if stream in self._texts]
        yield PageEvent("output", pieces, self._after) if pieces else None

    def _reading(self, run: RunRow) -> PageEvent | None:
        broker = self._sources.client.broker
        with told_plainly(broker.url):
            said = broker.redis.hget(broker.keys("live"), run.job_id)
        reading = json.loads(said) if said else {}
        if not reading or reading == self._last_reading:
            return None
        self._last_reading = reading
        curve = curve_in(reading)
        return PageEvent("reading", {**reading, "curve": chart_data(curve), "missed": missed_samples(curve)})

    def _processes(self, run: RunRow) -> PageEvent | None:
        tree = live_tree(self._sources.client.broker, run)
        if tree is None or tree == self._last_tree:
            return None
        self._last_tree = tree
        return PageEvent("processes", tree_rows(tree))


class JobEvents:
    """Follows a job until it has a run to show, or has ended without one."""

    def __init__(self, sources: Sources, job_id: str, seen_run: str) -> None:
        self._sources, self._job_id, self._seen = sources, job_id, seen_run

    def follow(self) -> Iterator[PageEvent | None]:
        """Give one event: where to go."""
        while not self._sources.leaving.wait(_IDLE_SECONDS):
            try:
                job = self._sources.jobs.get(self._job_id)
            except JobNotFound:
                yield None
                continue
            if job.last_run_id and job.last_run_id != self._seen:
                yield PageEvent("go", f"/runs/{job.last_run_id}")
                return
            if job.state.is_final:
                yield PageEvent("go", f"/jobs/{self._job_id}")
                return
            yield None
