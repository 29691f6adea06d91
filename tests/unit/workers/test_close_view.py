"""What a worker tells of runs that somebody looks at, also when the broker does not answer."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from scriptfleet.execution.engine import Engine, Running
from scriptfleet.execution.environment import clean
from scriptfleet.execution.plan import Plan
from scriptfleet.execution.program import find_program
from scriptfleet.execution.workspace import Workspace
from scriptfleet.queues.claims import Claim
from scriptfleet.queues.close_looks import CloseLooks
from scriptfleet.queues.connection import connect
from scriptfleet.queues.keys import Keys
from scriptfleet_workers.active import ActiveRuns
from scriptfleet_workers.close_view import CloseView

CLAIM = Claim("job-1", "run-1", "default", 0, "shell", "name", "", "{}", "", 1, 0.0, 0.0)


def while_it_runs(folder: Path, act: Callable[[ActiveRuns], None]) -> None:
    """Act while a run goes on."""
    active, engine = ActiveRuns(), Engine()
    argv = [find_program("sh"), "-c", "while ! test -e go; do sleep 0.02; done"]
    plan = Plan(argv, clean({}), folder, folder / "out", folder / "err")
    with active.entered(CLAIM, Workspace(folder / "run-1"), time.monotonic()) as run:

        def on_start(running: Running) -> None:
            run.started(running)
            act(active)
            (folder / "go").touch()

        engine.run(plan, on_start)
    engine.close()


def test_only_runs_that_somebody_looks_at_are_told_and_only_while_the_broker_has_room(
    redis_client: redis.Redis, tmp_path: Path
) -> None:
    looks, is_full = CloseLooks(redis_client, Keys("looks")), [False]

    def act(active: ActiveRuns) -> None:
        view = CloseView(looks, active, lambda: is_full[0])
        assert (view.jobs(), looks.processes("run-1")) == (set(), None)
        looks.look("job-1")
        is_full[0] = True
        assert (view.jobs(), looks.processes("run-1")) == (set(), None)
        is_full[0] = False
        assert view.jobs() == {"job-1"}
        assert (looks.processes("run-1") or {})["count"] >= 1

    while_it_runs(tmp_path, act)
    assert redis_client.pttl("{looks}:looked_at:job-1") > 0
    assert redis_client.pttl("{looks}:processes:run-1") > 0


def test_a_broker_that_is_away_is_told_once_and_keeps_nobody_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    looks = CloseLooks(connect("redis://127.0.0.1:1/0"), Keys("looks"))

    def act(active: ActiveRuns) -> None:
        view = CloseView(looks, active, lambda: False)
        assert [view.jobs() for _ in range(3)] == [set()] * 3

    with caplog.at_level(logging.INFO):
        while_it_runs(tmp_path, act)

    assert caplog.text.count("processes_left_out") == 1
