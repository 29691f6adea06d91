"""The way out of a worker that no message reaches any more: runs may end, then the process does, for its supervisor."""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final

from celery.worker import state as worker_state

from scriptfleet_workers.active import ActiveRuns
from scriptfleet_workers.drain import Drain

log = logging.getLogger("scriptfleet.worker")

#: What supervisors take for "try again".
EXIT_CODE: Final = os.EX_TEMPFAIL
#: How long Celery's loop, if it still turns, may take to end the process by itself once nothing runs any more.
_PATIENCE_SECONDS: Final = 10.0
#: Past the drain: for scripts to be ended, and for their reports.
_LAST_SECONDS: Final = 30.0


class Escape:
    """Happens once. Celery's loop is asked to end the process; where it hangs, a thread does."""

    def __init__(self, way_out: Drain, active: ActiveRuns, leave: Callable[[], None]) -> None:
        self._way_out, self._active, self._leave = way_out, active, leave
        self._thread = threading.Thread(target=self._end, name="escape", daemon=True)

    def begin(self, reason: str) -> None:
        """End this process; what runs has as long as in any drain."""
        if self._thread.is_alive():
            return
        log.critical("worker_deaf reason=%s: it ends with exit code %d, to be started anew", reason, EXIT_CODE)
        self._way_out.begin()
        worker_state.should_stop = EXIT_CODE
        self._thread.start()

    def _end(self) -> None:
        deadline = time.monotonic() + self._way_out.seconds + _LAST_SECONDS
        pause = threading.Event()
        while len(self._active) and time.monotonic() < deadline:
            pause.wait(0.1)
        pause.wait(_PATIENCE_SECONDS)
        log.critical("loop_hangs: ending this process")
        self._leave()
        logging.shutdown()
        os._exit(EXIT_CODE)
