"""Whether this worker takes new jobs: not while its machine is busier than its settings allow."""

import logging
from dataclasses import dataclass
from typing import Final

from scriptfleet.config import Settings
from scriptfleet_workers.host_load import HostLoad, Load

log = logging.getLogger("scriptfleet.admission")

#: Once over its limit, a load must fall to this share of it before jobs are taken again.
RESUME_SHARE: Final = 0.9


@dataclass(slots=True)
class _Bound:
    """One limit and whether the load is, or was lately, over it."""

    what: str
    limit: float
    is_over: bool = False

    def judge(self, percent: float | None) -> str:
        """Give why no job is to be taken, or nothing."""
        if percent is None:
            self.is_over = False
            return ""
        self.is_over = percent > (self.limit * RESUME_SHARE if self.is_over else self.limit)
        if not self.is_over:
            return ""
        resumes = self.limit * RESUME_SHARE
        return f"{self.what} at {percent:.0f} %, limit {self.limit:g} %: takes jobs again at {resumes:g} %"


class Admission:
    """Decides from one look at the load to the next; without limits it always admits."""

    def __init__(self, max_cpu_percent: float | None, max_memory_percent: float | None, load: HostLoad) -> None:
        self._cpu = None if max_cpu_percent is None else _Bound("host CPU", max_cpu_percent)
        self._memory = None if max_memory_percent is None else _Bound("host memory", max_memory_percent)
        self._load = load
        #: What the last look found.
        self.load = Load(None, None)
        #: Why no new job is taken; empty while jobs are taken.
        self.reason = ""

    @classmethod
    def of(cls, settings: Settings) -> "Admission":
        """Make the one that the settings ask for."""
        return cls(settings.max_cpu_percent, settings.max_memory_percent, HostLoad())

    def look(self) -> str:
        """Look at the load, say so when the answer changes, and give the reason. To be called about once a second."""
        self.load = self._load.look()
        reason = self.judge(self.load)
        if reason and not self.reason:
            log.warning("throttled reason=%s", reason)
        elif self.reason and not reason:
            log.warning("throttle_over")
        self.reason = reason
        return reason

    def judge(self, load: Load) -> str:
        """Give why no job is to be taken under this load, after those judged before; empty when jobs may come."""
        cpu = self._cpu.judge(load.cpu_percent) if self._cpu else ""
        memory = self._memory.judge(load.memory_percent) if self._memory else ""
        return "; ".join(reason for reason in (cpu, memory) if reason)
