"""Makes segments of runs that have settled, a bounded number a minute, in one service at a time.

They are copies that answers come faster from (see storage/segments.py); without this thread nothing would be wrong.
"""

import logging
import threading
import time
from typing import Final

from scriptfleet.errors import StoreUnreachable
from scriptfleet.storage.engine import Database
from scriptfleet.storage.segment_making import make_segments, take_turn

_log = logging.getLogger(__name__)

_EVERY_SECONDS: Final = 60.0
#: A segment takes some 0.1 s; between two of them the ingest has the interpreter, and the database, to itself.
_PAUSE_SECONDS: Final = 0.15
_AT_MOST: Final = 100


class SegmentUpkeep:
    """The thread that makes them."""

    def __init__(self, database: Database, every_seconds: float = _EVERY_SECONDS) -> None:
        self._database, self._every = database, every_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="segments", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, within_seconds: float = 10.0) -> None:
        """End, after the segment that is made at this moment."""
        self._stopping.set()
        self._thread.join(within_seconds)

    def look(self, now: float) -> int:
        """Make segments, where no other service does, and give how many runs they have."""
        if not take_turn(self._database, now, now + self._every):
            return 0
        taken = make_segments(self._database, now, self._is_stopping, _AT_MOST)
        if taken:
            _log.info("segments_made runs=%s", taken)
        return taken

    def _is_stopping(self) -> bool:
        return self._stopping.wait(_PAUSE_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(self._every):
            try:
                self.look(time.time())
            except StoreUnreachable as fault:
                _log.warning("segments_wait reason=%s", fault)
            except Exception:  # the edge of this thread: nothing above would tell
                _log.exception("segments_failed")
