"""What a worker tells of runs that somebody looks at closely: a reading each beat, and the processes."""

import logging
from collections.abc import Callable, Iterable

import redis

from scriptfleet.queues.close_looks import CloseLooks
from scriptfleet_workers.active import ActiveRun, ActiveRuns

log = logging.getLogger("scriptfleet.close_view")


class CloseView:
    """Looks after those who look. What it tells is for watching: when it cannot be told it is left out."""

    def __init__(self, looks: CloseLooks, active: ActiveRuns, drops_samples: Callable[[], bool]) -> None:
        self._looks, self._active, self._drops_samples = looks, active, drops_samples
        self._is_failing = False

    def jobs(self) -> set[str]:
        """Give the jobs of this worker that somebody looks at, having told their processes."""
        if self._drops_samples():
            return set()
        under_way = {run.claim.job_id: run for run in self._active.all() if run.running}
        try:
            found = self._looks.looked_at(under_way)
            self._tell(under_way[job_id] for job_id in found)
        except redis.RedisError as fault:
            # At each beat while the broker is away: told once.
            log.log(logging.DEBUG if self._is_failing else logging.WARNING, "processes_left_out reason=%s", fault)
            self._is_failing = True
            return set()
        self._is_failing = False
        return found

    def _tell(self, runs: Iterable[ActiveRun]) -> None:
        trees = {}
        for run in runs:
            running = run.running
            tree = running.watched.process_tree() if running and running.watched else None
            if tree is not None:
                trees[run.claim.run_id] = tree.to_dict()
        if trees:
            self._looks.tell(trees)
