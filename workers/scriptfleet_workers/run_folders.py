"""Where the runs of this process have their folders; what processes that are no more left behind is deleted."""

import logging
import os
import uuid
from pathlib import Path
from typing import BinaryIO

from scriptfleet_workers.folders import held, hold, remove

log = logging.getLogger("scriptfleet.worker")


class RunFolders:
    """A folder of this process below ``runs``, held as long as it lives."""

    def __init__(self, runs: Path) -> None:
        runs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._runs = runs
        self._lock: BinaryIO | None = None
        while self._lock is None:
            # Another process that cleans up may take the fresh folder for one that was left.
            self.path = runs / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
            self.path.mkdir(mode=0o700)
            self._lock = hold(self.path)

    def clean_up(self) -> None:
        """Delete folders of processes that are no more; what cannot be deleted is logged and left."""
        for folder in self._runs.iterdir():
            if folder == self.path:
                continue
            try:
                with held(folder) as is_ours:
                    if is_ours:
                        remove(folder)
            except OSError as fault:
                log.warning("leftover_stays folder=%s reason=%s: delete it by hand", folder, fault)

    def close(self) -> None:
        """Delete the folder of this process."""
        try:
            remove(self.path)
        except OSError as fault:
            log.warning("leftover_stays folder=%s reason=%s: the next start tries again", self.path, fault)
        if self._lock is not None:
            self._lock.close()
