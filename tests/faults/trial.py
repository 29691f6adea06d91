"""A trial: jobs on a fleet of real processes, a fault while they run, and the proof that each is recorded once."""

import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from scriptfleet.domain.ids import new_job_id
from scriptfleet.queues import drafts
from scriptfleet.storage.engine import open_store
from scriptfleet.storage.tables import jobs, runs
from tests.eventually import eventually
from tests.faults import stamping_job
from tests.faults.checker import Recorded, Stamped, complaints, read_stamps, restart_seconds
from tests.fleet_parts import Fleet, Process, Server

SLOTS = 4
#: One job in so many is long enough to be hit by the fault while it runs.
ONE_IN = 10
BRIEF_SECONDS = 0.05


@dataclass(frozen=True)
class Size:
    """How much is tried: in CI little, with `make faults` all of it."""

    name: str
    jobs: int
    long_seconds: float
    settle_seconds: float

    def seconds(self, short: float, full: float) -> float:
        """Give how long an outage lasts."""
        return full if self.name == "full" else short


SIZES = {"short": Size("short", 60, 4.0, 90.0), "full": Size("full", 1000, 8.0, 400.0)}


@dataclass(frozen=True)
class Figures:
    """What a trial showed; moments are seconds."""

    fault: str
    jobs: int
    runs: int
    #: Runs that followed another run of their job, and the longest wait between two.
    again: int
    slowest_restart: float | None
    #: From the end of the fault to the first run that began after it, and to the last job's record.
    first_start: float | None
    settled: float


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass
class Trial:
    """Jobs, the fleet that runs them, and what is expected in whose log."""

    fleet: Fleet
    size: Size
    server: Server | None = None
    workers: list[Process] = field(default_factory=list)
    job_ids: list[str] = field(default_factory=list)
    expected: list[tuple[tuple[Process, ...], str]] = field(default_factory=list)
    healed_at: float = 0.0

    @property
    def folder(self) -> Path:
        """Where the jobs stamp."""
        return self.fleet.home / "stamps"

    def begin(self, workers: int = 2) -> None:
        """Start the service and the workers, submit the jobs, and wait until the first of them have run."""
        self.server = self.fleet.server()
        self.start_workers(*(f"w{number}" for number in range(len(self.workers) + 1, workers + 1)))
        self.submit()
        self.wait_for_runs(self.size.jobs // 5)

    def start_workers(self, *names: str, start: Callable[[str], Process] | None = None) -> None:
        """Start workers at the same time."""
        start_one = start or (lambda name: self.fleet.worker(name, slots=SLOTS))
        with ThreadPoolExecutor() as pool:
            self.workers += pool.map(start_one, names)

    def submit(self) -> None:
        """Submit all jobs under ids of our own."""
        self.folder.mkdir(exist_ok=True)
        self.job_ids = [new_job_id() for _ in range(self.size.jobs)]
        seconds = [BRIEF_SECONDS if number % ONE_IN else self.size.long_seconds for number in range(self.size.jobs)]
        commands = [self.command(job_id, long) for job_id, long in zip(self.job_ids, seconds, strict=True)]
        made = [drafts.of_command(command) for command in commands]
        self.fleet.client().submit_many(made, job_ids=self.job_ids)

    def command(self, job_id: str, seconds: float) -> str:
        """Give the command line of a job that takes so long."""
        return f"exec {sys.executable} -I -S {stamping_job.__file__} {self.folder}/{job_id} {seconds}"

    def wait_for_runs(self, count: int) -> None:
        """Wait until so many jobs have started."""
        eventually(lambda: len(list(self.folder.iterdir())) >= count, within=self.size.settle_seconds)

    def at_work_first(self) -> list[Process]:
        """Give the workers, the one first that has the most long jobs under way; waits until one has any."""
        eventually(lambda: any(map(self._long_jobs_of, self.workers)), within=self.size.settle_seconds, every=0.05)
        return sorted(self.workers, key=self._long_jobs_of, reverse=True)

    def _long_jobs_of(self, worker: Process) -> int:
        """Count the long jobs that a worker has begun and not ended, by its log."""
        told = re.findall(r"run_(\w+) job=(\S+)", worker.log())
        ended = {job_id for step, job_id in told if step != "started"}
        long_ones = set(self.job_ids[::ONE_IN])
        return len({job_id for _, job_id in told} & long_ones - ended)

    @contextmanager
    def outage(self, short: float, full: float) -> Iterator[None]:
        """Leave what the block did as it is for so long, in seconds, by the size of the trial."""
        yield
        time.sleep(self.size.seconds(short, full))

    def tells(self, process: Process, word: str) -> None:
        """Expect the process to name the fault in its log."""
        self.expected.append(((process,), word))

    def a_worker_tells(self, word: str) -> None:
        """Expect a worker, whichever of them the fault met, to name it in its log."""
        self.expected.append((tuple(self.workers), word))

    def run(self, fault: Callable[["Trial"], None]) -> Figures:
        """Have the fault while jobs run, wait until all are recorded, and say what that showed. Fails for any flaw."""
        fault(self)
        self.healed_at = boottime()
        eventually(self.assert_flawless, within=self.size.settle_seconds, every=0.5)
        settled = boottime() - self.healed_at
        for processes, word in self.expected:
            logs = {process.log_path.name: process.log() for process in processes}
            ends = "\n".join(f"{name}:\n{log[-3000:]}" for name, log in logs.items())
            assert any(word in log for log in logs.values()), f"none says {word}:\n{ends}"
        return self._figures(fault.__name__.replace("_", " "), settled)

    def assert_flawless(self) -> None:
        """Fail, with what is wrong, unless every job is recorded once and none ran twice at once."""
        states, recorded = self.stored()
        found = complaints(self.stamped(), states, recorded)
        assert not found, f"{len(found)} flaws, the first of them:\n" + "\n".join(found[:8])

    def stamped(self) -> dict[str, list[Stamped]]:
        """Give all runs of all jobs as they wrote them down."""
        paths = {job_id: self.folder / job_id for job_id in self.job_ids}
        return {job_id: read_stamps(path) if path.exists() else [] for job_id, path in paths.items()}

    def stored(self) -> tuple[dict[str, list[str]], list[Recorded]]:
        """Give the states of all jobs, and all runs, as the store has them."""
        states: dict[str, list[str]] = defaultdict(list)
        with closing(open_store(self.fleet.database_url)) as database, database.reading() as connection:
            for job_id, state in connection.execute(sa.select(jobs.c.job_id, jobs.c.state)):
                states[job_id].append(state)
            columns = (runs.c.job_id, runs.c.run_id, runs.c.attempt, runs.c.outcome, runs.c.is_stale)
            found = [Recorded(*row[:4], bool(row[4])) for row in connection.execute(sa.select(*columns))]
        return states, found

    def _figures(self, name: str, settled: float) -> Figures:
        stamped = self.stamped()
        runs_of_all = [run for found in stamped.values() for run in found]
        waits = restart_seconds(stamped)
        later = [run.started - self.healed_at for run in runs_of_all if run.started > self.healed_at]
        return Figures(
            fault=name,
            jobs=len(stamped),
            runs=len(runs_of_all),
            again=len(waits),
            slowest_restart=max(waits, default=None),
            first_start=min(later, default=None),
            settled=settled,
        )
