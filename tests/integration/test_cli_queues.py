"""`scriptfleet queues`: a person is asked before a purge, a program says --yes; names that cannot be are refused."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from scriptfleet import Client, State
from scriptfleet.config import load_settings
from tests.command import one_line, scriptfleet
from tests.integration.test_cli_cancel import at_a_terminal


@pytest.fixture
def around(redis_url: str) -> dict[str, str]:
    return {"SCRIPTFLEET_REDIS_URL": redis_url, "SCRIPTFLEET_NAMESPACE": f"t{uuid.uuid4().hex[:10]}"}


@pytest.fixture
def client(around: dict[str, str], tmp_path: Path) -> Iterator[Client]:
    made = Client(settings=load_settings({**around, "SCRIPTFLEET_HOME": str(tmp_path)}))
    yield made
    made.broker.redis.close()


@pytest.mark.parametrize(("answer", "code", "state"), [("n", 1, "queued"), ("", 1, "queued"), ("y", 0, "cancelled")])
def test_a_person_is_asked_before_even_one_job_is_purged(
    answer: str, code: int, state: str, client: Client, around: dict[str, str], tmp_path: Path
) -> None:
    job = client.submit_shell("true", queue="nightly")

    ended, said = at_a_terminal(answer, "queues", "purge", "nightly", home=tmp_path, **around)

    assert (ended, job.state()) == (code, State(state)), said
    assert "cancel 1 jobs of nightly? [y/N]" in said


def test_queues_are_listed_as_a_table_and_for_programs(client: Client, around: dict[str, str], tmp_path: Path) -> None:
    assert "no queue was used yet" in scriptfleet("queues", "ls", home=tmp_path, **around).stderr
    client.submit_shell("true", queue="nightly", group="g")
    client.submit_shell("true", not_before=4e9)
    paused = scriptfleet("queues", "pause", "nightly", "--json", home=tmp_path, **around)

    assert json.loads(paused.stdout) == [{"queue": "nightly", "paused": True, "changed": True}]
    table = scriptfleet("queues", "ls", home=tmp_path, **around).stdout
    assert max(len(line) for line in table.splitlines()) <= 80
    listed = json.loads(scriptfleet("queues", "ls", "--json", home=tmp_path, **around).stdout)
    assert [(one["queue"], one["waiting"], one["delayed"]) for one in listed] == [("default", 0, 1), ("nightly", 1, 0)]
    assert listed[0]["paused_at"] is None
    again = scriptfleet("queues", "pause", "nightly", home=tmp_path, **around).stdout
    assert again == "nightly  was paused already\n"


@pytest.mark.parametrize("words", [("pause", "no:such"), ("purge", "a b", "--yes"), ("resume", "")])
def test_a_name_that_cannot_be_is_refused_in_one_line(
    words: tuple[str, ...], around: dict[str, str], tmp_path: Path
) -> None:
    done = scriptfleet("queues", *words, home=tmp_path, **around)

    assert done.returncode == 2
    assert "queue" in one_line(done)


def test_an_unknown_queue_is_refused_and_paused_before_its_first_job_where_that_is_meant(
    client: Client, around: dict[str, str], tmp_path: Path
) -> None:
    client.submit_shell("true", queue="nightly")

    slip = scriptfleet("queues", "pause", "nightyl", home=tmp_path, **around)
    resumed = scriptfleet("queues", "resume", "nightyl", home=tmp_path, **around)
    meant = scriptfleet("queues", "pause", "--create", "later", home=tmp_path, **around)
    undone = scriptfleet("queues", "resume", "later", home=tmp_path, **around)

    assert "one that was used: nightly; --create" in one_line(slip)
    assert (slip.returncode, resumed.returncode) == (2, 2)
    assert "one that was used: nightly" in one_line(resumed)
    assert (meant.stdout, undone.stdout) == ("later  paused\n", "later  goes on\n")
