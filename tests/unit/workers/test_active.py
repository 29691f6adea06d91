"""A run's workspace is looked into while it runs and never after: by then it may be another run's."""

import json
from pathlib import Path

import pytest

from scriptfleet.execution.engine import Engine, Running
from scriptfleet.execution.plan import Plan
from scriptfleet.execution.workspace import Workspace
from scriptfleet.queues.claims import Claim
from scriptfleet_workers.active import ActiveRun

CLAIM = Claim("job-1", "run-1", "default", 0, "shell", "name", "", "{}", "", 1, 0.0, 0.0)


@pytest.fixture
def run(tmp_path: Path) -> ActiveRun:
    workspace = Workspace(tmp_path / "run-1")
    workspace.make()
    return ActiveRun(CLAIM, workspace, 0.0)


def report(run: ActiveRun, fraction: float) -> None:
    with run.workspace.reports.path.open("a") as file:
        file.write(json.dumps({"progress": {"fraction": fraction}}) + "\n")


def test_what_a_script_reports_is_news_until_its_run_is_over(run: ActiveRun, tmp_path: Path) -> None:
    heard: list[bool] = []
    looks: list[str] = []

    def listen(running: Running) -> None:
        run.started(running)
        report(run, 0.25)
        heard.extend((run.has_news(), run.has_news()))
        run.while_it_runs(lambda: looks.append("while"))

    engine = Engine()
    plan = Plan(["/bin/sh", "-c", "true"], {}, tmp_path, tmp_path / "stdout", tmp_path / "stderr")
    run.while_it_runs(lambda: looks.append("before"))
    engine.run(plan, listen)
    run.over()
    report(run, 0.75)
    heard.append(run.has_news())
    run.while_it_runs(lambda: looks.append("after"))
    engine.close()

    assert heard == [True, False, False]
    assert looks == ["while"]
    assert run.progress is not None
    assert run.progress.fraction == 0.25
