"""Whether this worker takes jobs just now. Asked before each message, so it only looks at what others have noted."""

import logging
import threading
from collections.abc import Callable

from scriptfleet.domain.worker_state import WorkerState
from scriptfleet_workers.admission import Admission

log = logging.getLogger("scriptfleet.worker")


class Standing:
    """What keeps jobs out, put together."""

    def __init__(self, admission: Admission, draining: threading.Event, is_settling: Callable[[], bool]) -> None:
        """``is_settling`` tells whether the server may not know all living runs yet."""
        self._admission, self._draining, self._is_settling = admission, draining, is_settling
        #: Whether it was ordered to take no job.
        self.is_cordoned = False
        #: Why no message reaches it though there is room; empty while they do.
        self.deaf = ""

    def cordon(self, is_cordoned: bool) -> None:
        """Take no more jobs, or take them again."""
        if is_cordoned != self.is_cordoned:
            log.warning("cordoned" if is_cordoned else "uncordoned")
        self.is_cordoned = is_cordoned

    def takes_jobs(self) -> bool:
        """Tell whether a job may be taken now."""
        is_kept_out = self._draining.is_set() or self.is_cordoned or self._admission.reason or self._is_settling()
        return not is_kept_out

    def must_hand_back(self) -> str:
        """Give why a job whose message came all the same goes to another worker; empty when it is taken."""
        if self._draining.is_set():
            return "draining"
        if self.is_cordoned:
            return "cordoned"
        return "settling" if self._is_settling() else ""

    def note_deaf(self, reason: str) -> None:
        """Note why no message reaches this worker, or that they do; say so when that changes."""
        if bool(reason) != bool(self.deaf):
            log.warning("deaf reason=%s", reason) if reason else log.warning("deaf_no_more")
        self.deaf = reason

    def why_closed(self) -> str:
        """Give why jobs are kept out by more than a busy machine; empty while they are not."""
        if self.state() in (WorkerState.READY, WorkerState.THROTTLED):
            return ""
        return self.deaf or f"it is {self.state()}"

    def state(self) -> WorkerState:
        """Give it in one word: the reason that lasts longest stands for the others."""
        if self._draining.is_set():
            return WorkerState.DRAINING
        if self.deaf:
            return WorkerState.DEAF
        if self.is_cordoned:
            return WorkerState.CORDONED
        return WorkerState.THROTTLED if self._admission.reason else WorkerState.READY
