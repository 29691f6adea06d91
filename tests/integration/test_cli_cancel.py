"""`scriptfleet cancel` for many jobs: counts, and a question where a person sits and they are many."""

import json
import os
import pty
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from scriptfleet import Client, State
from scriptfleet.config import load_settings
from scriptfleet.domain.ids import new_job_id, new_run_id
from scriptfleet.storage.engine import open_store
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.migrate import upgrade
from tests import event_factory as make
from tests.command import environment, one_line, scriptfleet


@pytest.fixture
def around(redis_url: str, tmp_path: Path) -> dict[str, str]:
    return {"SCRIPTFLEET_REDIS_URL": redis_url, "SCRIPTFLEET_NAMESPACE": f"t{uuid.uuid4().hex[:10]}"}


@pytest.fixture
def client(around: dict[str, str], tmp_path: Path) -> Iterator[Client]:
    made = Client(settings=load_settings({**around, "SCRIPTFLEET_HOME": str(tmp_path)}))
    yield made
    made.broker.redis.close()


def at_a_terminal(answer: str, *words: str, home: Path, **more: str) -> tuple[int, str]:
    """Call `scriptfleet` with a terminal as its standard input, where somebody types this answer."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        done = subprocess.run(
            [sys.executable, "-m", "scriptfleet", *words],
            env=environment(home, **more),
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    return done.returncode, done.stdout + done.stderr


def test_a_group_and_labels_choose_and_counts_are_told(client: Client, around: dict[str, str], tmp_path: Path) -> None:
    jobs = [client.submit_shell("true", group="g", labels={"k": "v"}) for _ in range(6)]
    other = client.submit_shell("true", group="g")

    done = scriptfleet("cancel", "--group", "g", "--label", "k=v", home=tmp_path, **around)

    assert (done.returncode, done.stdout) == (0, "6 cancelled before they ran, 0 told to end\n"), done.stderr
    assert {job.state() for job in jobs} == {State.CANCELLED}
    assert other.state() is State.QUEUED
    again = scriptfleet("cancel", "--json", "--group", "g", home=tmp_path, **around)
    assert json.loads(again.stdout) == {"queued": 1, "delayed": 0, "running": 0}


@pytest.mark.parametrize(("answer", "code", "state"), [("n", 1, "queued"), ("", 1, "queued"), ("y", 0, "cancelled")])
def test_a_person_is_asked_before_many_are_cancelled(
    answer: str, code: int, state: str, client: Client, around: dict[str, str], tmp_path: Path
) -> None:
    jobs = [client.submit_shell("true", group="g") for _ in range(5)]

    ended, said = at_a_terminal(answer, "cancel", "--group", "g", home=tmp_path, **around)

    assert ended == code, said
    assert "cancel 5 jobs? [y/N]" in said
    assert {str(job.state()) for job in jobs} == {state}


@pytest.mark.parametrize(("count", "words"), [(3, []), (5, ["--yes"])])
def test_a_person_is_not_asked_about_few_or_when_sure(
    count: int, words: list[str], client: Client, around: dict[str, str], tmp_path: Path
) -> None:
    for _ in range(count):
        client.submit_shell("true", group="g")

    ended, said = at_a_terminal("n", "cancel", "--group", "g", *words, home=tmp_path, **around)

    assert (ended, said) == (0, f"{count} cancelled before they ran, 0 told to end\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--group or --label"),
        (["--queue", "default"], "--group or --label"),
        (["4f0c2a9e", "--group", "g"], "no ids beside"),
        (["--label", "k"], "NAME=VALUE"),
        (["--group", ""], "group: ''"),
        (["--group", "g", "--queue", "no/queue"], "queue: 'no/queue'"),
    ],
)
def test_what_names_no_jobs_is_refused(words: list[str], said: str, around: dict[str, str], tmp_path: Path) -> None:
    done = scriptfleet("cancel", *words, home=tmp_path, **around)

    assert done.returncode == 2
    assert said in one_line(done)


def test_a_job_that_the_database_alone_knows_is_told_as_it_stands(around: dict[str, str], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    upgrade(url)
    database = open_store(url)
    store = IngestStore(database)
    ended, open_job, nobody = new_job_id(), new_job_id(), new_job_id()
    run_id = new_run_id()
    store.apply([make.submitted(ended), make.claimed(ended, run_id), make.finished(make.record(ended, run_id))])
    store.apply([make.submitted(open_job)])
    database.close()
    more = {**around, "SCRIPTFLEET_DATABASE_URL": url}

    done = scriptfleet("cancel", ended, home=tmp_path, **more)
    others = scriptfleet("cancel", "--json", ended, open_job, nobody, home=tmp_path, **more)
    told = scriptfleet("cancel", open_job, nobody, home=tmp_path, **more)

    assert (done.returncode, done.stdout) == (0, f"{ended}  had already ended: succeeded\n"), done.stderr
    assert [one["was"] for one in json.loads(others.stdout)] == ["succeeded", "forgotten", "gone"]
    assert (others.returncode, told.returncode, told.stdout) == (1, 1, "")
    assert f"{open_job} has not ended by the database" in told.stderr
    assert f"job not found: {nobody}" in told.stderr
