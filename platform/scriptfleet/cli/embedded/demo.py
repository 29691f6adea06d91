"""The demo: real jobs with every kind of ending, what each cost, and one found again by REST and /metrics."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import scriptfleet
from scriptfleet.cli.embedded.service import Service
from scriptfleet.cli.schedule import new_schedule
from scriptfleet.cli.screen import UNKNOWN, mebibytes, note, seconds, usage_of
from scriptfleet.cli.tables import print_table
from scriptfleet.config import Settings
from scriptfleet.domain.state import State
from scriptfleet.domain.usage import Usage
from scriptfleet.errors import ScriptfleetError
from scriptfleet.queues import drafts
from scriptfleet.queues.client import Client
from scriptfleet.queues.drafts import Draft
from scriptfleet.queues.job_handle import Job
from scriptfleet.storage.engine import open_store
from scriptfleet.storage.job_store import JobFilter, JobStore
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.schedules import ScheduleStore

_SCHEDULE: Final = "demo: every 2 seconds"
_EVERY_SECONDS: Final = 2.0
_PATIENCE_SECONDS: Final = 45.0
_STORED_SECONDS: Final = 10.0
_COLUMNS: Final = ("job*", "what it shows*", "outcome", "exit>", "wall s>", "CPU s>", "MiB>", "procs>")


@dataclass(slots=True)
class Act:
    """One job of the demo and how it is to end."""

    shows: str
    wanted: State
    job: Job
    name: str
    state: State = State.QUEUED
    run_id: str | None = None
    usage: Usage = field(default_factory=Usage)

    def look(self) -> bool:
        """Read how it stands; tell whether it has ended."""
        facts = self.job.facts()
        self.state, self.run_id, self.usage = facts["state"], facts["run_id"], usage_of(facts["record"])
        return self.state.is_final


class Demo:
    """Runs step by step, so that its fleet is watched over meanwhile."""

    def __init__(self, settings: Settings, server_url: str) -> None:
        self._client, self._settings = Client(settings=settings), settings
        self._service = Service(server_url, settings.api_token)
        self._acts: list[Act] = []
        #: Whether every job ended as it should and was found again.
        self.is_as_expected = False

    def steps(self) -> Iterator[None]:
        """Do the demo; each step takes a moment. Raises ScriptfleetError."""
        database = open_store(self._settings.store_url())
        try:
            yield from self._play(ScheduleStore(database), JobStore(database))
        finally:
            ScheduleStore(database).remove(_SCHEDULE)
            database.close()

    def _play(self, schedules: ScheduleStore, jobs: JobStore) -> Iterator[None]:
        began = time.time()
        self._schedule(schedules)
        self._acts = [self._submit(*act) for act in _acts(examples_folder(), self._limit)]
        print(f"{len(self._acts)} jobs submitted and one schedule added; waiting for their ends …", flush=True)
        yield from self._until(lambda: self._has_fired(jobs, began), _PATIENCE_SECONDS)
        yield from self._until(self._have_ended, _PATIENCE_SECONDS)
        self._show()
        yield from self._until(self._is_stored, _STORED_SECONDS)
        self.is_as_expected = self._judge()

    @property
    def _limit(self) -> int:
        return self._settings.blob_max_bytes

    def _submit(self, shows: str, wanted: State, draft: Draft) -> Act:
        return Act(shows, wanted, self._client.submit_draft(draft), draft.spec.name)

    def _schedule(self, schedules: ScheduleStore) -> None:
        schedules.remove(_SCHEDULE)
        draft = drafts.of_command("date -u; uptime", name="heartbeat", schedule=_SCHEDULE)
        schedules.add(new_schedule(_SCHEDULE, _EVERY_SECONDS, draft), draft.content)

    def _has_fired(self, jobs: JobStore, began: float) -> bool:
        found = jobs.page(JobFilter(schedule=_SCHEDULE, since=began), PageRequest(1)).items
        if found:
            fired = self._client.job(found[0].job_id)
            self._acts.append(Act("from a schedule", State.SUCCEEDED, fired, found[0].name or _SCHEDULE))
        return bool(found)

    def _have_ended(self) -> bool:
        has_ended = [act.look() for act in self._acts]
        return all(has_ended)

    def _until(self, is_so: Callable[[], bool], within_seconds: float) -> Iterator[None]:
        deadline = time.monotonic() + within_seconds
        while not is_so() and time.monotonic() < deadline:
            yield

    def _show(self) -> None:
        print_table(_COLUMNS, [_cells(act) for act in self._acts])

    def _is_stored(self) -> bool:
        status, run = self._service.get_json(f"/api/v1/runs/{self._shown.run_id}")
        return status == HTTPStatus.OK and run.get("outcome") is not None

    @property
    def _shown(self) -> Act:
        return self._acts[0]

    def _judge(self) -> bool:
        wrong = [f"{act.name}: {act.state}, not {act.wanted}" for act in self._acts if act.state is not act.wanted]
        if not any(act.shows == "from a schedule" for act in self._acts):
            wrong.append(f"{_SCHEDULE}: it did not fire")
        wrong += self._not_found()
        for line in wrong:
            note(f"not as expected: {line}")
        return not wrong

    def _not_found(self) -> Iterator[str]:
        path = f"/api/v1/runs/{self._shown.run_id}"
        status, run = self._service.get_json(path)
        print(f"\nGET {path}\n  {status} {_in_short(run)}")
        if status != HTTPStatus.OK or run.get("outcome") != self._shown.state:
            yield f"GET {path}: {status}, outcome {run.get('outcome')}"
        lines = self._service.metric_lines("scriptfleet_runs_total", f'outcome="{self._shown.wanted}"')
        print("GET /metrics\n  " + "\n  ".join(lines or ["nothing"]) + "\n", flush=True)
        if not lines:
            yield "GET /metrics: no scriptfleet_runs_total of this outcome"


def examples_folder() -> Path:
    """Give where the examples are: in an installed package inside it, else beside the sources."""
    package = Path(scriptfleet.__file__).parent
    for folder in (package / "examples", package.parents[1] / "examples"):
        if (folder / "sales_report" / "main.py").is_file():
            return folder
    raise ScriptfleetError(
        f"the examples are not installed: looked in {package}: use a checkout or a wheel of the project"
    )


def _acts(folder: Path, limit: int) -> list[tuple[str, State, Draft]]:
    def script(name: str, *args: str, **options: Any) -> Draft:
        return drafts.of_script(folder / name, args, limit, **options)

    return [
        ("a folder with its data", State.SUCCEEDED, script("sales_report")),
        ("shell: tar and gzip", State.SUCCEEDED, script("backup.sh", str(folder / "sales_report"))),
        ("an exception", State.FAILED, script("fails.py")),
        ("a time limit of 1 s", State.TIMED_OUT, script("sleeps.py", "30", timeout=1.0, grace=1.0)),
        ("8 children", State.SUCCEEDED, script("forks_children.py")),
        ("96 MiB held", State.SUCCEEDED, script("eats_memory.py", "96", "1")),
        ("a memory limit", State.OUT_OF_MEMORY, script("eats_memory.py", "512", "20", limits={"memory_mb": 128.0})),
    ]


def _cells(act: Act) -> tuple[str, ...]:
    usage = act.usage
    return (
        act.name,
        act.shows,
        str(act.state),
        UNKNOWN if usage.exit_code is None else str(usage.exit_code),
        seconds(usage.execution_time_seconds),
        seconds(usage.cpu_seconds),
        mebibytes(usage.memory_max_mb),
        UNKNOWN if usage.pids_count is None else str(usage.pids_count),
    )


def _in_short(run: dict[str, Any]) -> str:
    flat = {**run, **run.get("usage", {})}
    names = ("name", "outcome", "execution_time_seconds", "user_time_seconds", "memory_max_mb", "memory_method")
    return ", ".join(f"{name} {_rounded(flat[name])}" for name in names if name in flat)


def _rounded(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
