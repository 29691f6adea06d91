"""Which running jobs somebody looks at closely just now: their workers tell more of them, and more often."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import redis

from scriptfleet.queues.keys import Keys

#: A look lasts so long; who goes on looking says so again.
LOOK_SECONDS: Final = 10.0
#: How long a process tree is good that nobody tells anew.
_TREE_SECONDS: Final = 10.0


class CloseLooks:
    """Both sides: who looks, and who is looked at. Each method raises redis.RedisError."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client, self._keys = client, keys

    def look(self, job_id: str) -> None:
        """Ask the job's worker to tell more for a while. On a full server nothing comes of it."""
        try:
            self._client.set(self._keys("looked_at", job_id), "", px=round(LOOK_SECONDS * 1000))
        except redis.OutOfMemoryError:
            return

    def looked_at(self, job_ids: Iterable[str]) -> set[str]:
        """Give those of the jobs that somebody looks at."""
        asked = list(job_ids)
        if not asked:
            return set()
        found = self._client.mget([self._keys("looked_at", job_id) for job_id in asked])
        return {job_id for job_id, mark in zip(asked, found, strict=True) if mark is not None}

    def tell(self, trees: Mapping[str, dict[str, Any]]) -> None:
        """Tell the processes of runs, by run id, in one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        for run_id, tree in trees.items():
            pipeline.set(self._keys("processes", run_id), json.dumps(tree), px=round(_TREE_SECONDS * 1000))
        pipeline.execute()

    def processes(self, run_id: str) -> dict[str, Any] | None:
        """Give what was told of a run's processes last; None where nobody told, or not lately."""
        found = self._client.get(self._keys("processes", run_id))
        return None if found is None else json.loads(found)
