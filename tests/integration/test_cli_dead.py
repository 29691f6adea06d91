"""`scriptfleet dead`: lists, replays and removes jobs that ended badly, and facts that no store could take."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from scriptfleet import Client, State
from scriptfleet.config import load_settings
from scriptfleet.domain.event import EventType
from scriptfleet.queues.events import EventReader
from scriptfleet.queues.job_handle import Job
from tests.command import one_line, scriptfleet
from tests.integration.queues.conftest import FakeWorker


@pytest.fixture
def around(redis_url: str) -> dict[str, str]:
    return {"SCRIPTFLEET_REDIS_URL": redis_url, "SCRIPTFLEET_NAMESPACE": f"t{uuid.uuid4().hex[:10]}"}


@pytest.fixture
def client(around: dict[str, str], tmp_path: Path) -> Iterator[Client]:
    made = Client(settings=load_settings({**around, "SCRIPTFLEET_HOME": str(tmp_path)}))
    yield made
    made.broker.redis.close()


def die(client: Client, state: State = State.FAILED, **options: object) -> Job:
    job, worker = client.submit_shell("true", **options), FakeWorker(client.broker)  # type: ignore[arg-type]
    worker.finish(worker.claim(job.id, f"run-{job.id}"), state)
    return job


def test_dead_jobs_are_listed_in_a_table_that_fits_and_as_json(
    client: Client, around: dict[str, str], tmp_path: Path
) -> None:
    job = die(client, State.OUT_OF_MEMORY, name="a-very-long-name-" * 5 + "\x1b[31m", queue="nightly", group="g")
    die(client, queue="other")

    table = scriptfleet("dead", "ls", "--queue", "nightly", home=tmp_path, **around)
    listed = json.loads(
        scriptfleet("dead", "ls", "--json", "--group", "g", "--since", "1h", home=tmp_path, **around).stdout
    )

    assert job.id[:8] in table.stdout
    assert "out_of_memory" in table.stdout
    assert "other" not in table.stdout
    assert "\x1b" not in table.stdout
    assert all(len(line) <= 80 for line in table.stdout.splitlines())
    assert [(one["job_id"], one["outcome"], one["queue"], one["attempts"]) for one in listed] == [
        (job.id, "out_of_memory", "nightly", 1)
    ]
    nothing = scriptfleet("dead", "ls", "--group", "nobody", home=tmp_path, **around)
    assert (nothing.returncode, nothing.stderr) == (0, "no dead jobs\n")


def test_dead_jobs_are_replayed_by_the_beginning_of_their_id_and_all_at_once(
    client: Client, around: dict[str, str], tmp_path: Path
) -> None:
    one, others = die(client), [die(client, group="g") for _ in range(5)]

    by_id = scriptfleet("dead", "replay", one.id[:13], home=tmp_path, **around)
    replayed = json.loads(
        scriptfleet("dead", "replay", "--all", "--group", "g", "--json", home=tmp_path, **around).stdout
    )

    assert by_id.returncode == 0, by_id.stderr
    new = client.job(by_id.stdout.split()[-1])
    assert (new.state(), new.facts()["rerun_of"]) == (State.QUEUED, one.id)
    assert {pair["job_id"] for pair in replayed} == {job.id for job in others}
    assert {client.job(pair["replayed_as"]).state() for pair in replayed} == {State.QUEUED}
    assert client.dead.ids() == []


def test_a_replay_that_fails_for_one_is_told_and_the_others_go_on(
    client: Client, around: dict[str, str], tmp_path: Path
) -> None:
    worker, gone = FakeWorker(client.broker), client.submit_code("print(1)")
    worker.finish(worker.claim(gone.id), State.FAILED)
    client.broker.redis.delete(*client.broker.redis.keys(client.broker.keys("blob", "*")))
    whole = die(client)

    done = scriptfleet("dead", "replay", gone.id, whole.id, "ffffffff", home=tmp_path, **around)

    assert done.returncode == 1
    assert f"{whole.id}  replayed as" in done.stdout
    assert f"{gone.id} is not replayed: script bytes" in done.stderr
    assert "no dead job begins with ffffffff" in done.stderr
    assert client.dead.ids() == [gone.id]


def test_dead_jobs_are_taken_off_the_list(client: Client, around: dict[str, str], tmp_path: Path) -> None:
    jobs = [die(client) for _ in range(3)]

    assert scriptfleet("dead", "rm", jobs[0].id, home=tmp_path, **around).stdout == "1 taken off the list\n"
    said = scriptfleet("dead", "rm", "--all", "--json", home=tmp_path, **around).stdout

    assert json.loads(said) == {"removed": 2}
    assert client.dead.ids() == []
    assert jobs[0].state() is State.FAILED


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["replay"], "either ids, or --all"),
        (["rm", "--all", "4f0c2a9e"], "either ids, or --all"),
        (["replay", "4f0c2a9e", "--queue", "a"], "either ids, or --all"),
        (["replay", "Robert'); --"], "job: "),
        (["ls", "--queue", "a/b"], "queue: 'a/b'"),
        (["ls", "--since", "yesterday"], "a time such as"),
        (["events", "--reingest"], "either entries or --all"),
        (["events", "1-0"], "--reingest or --rm beside it"),
        (["events", "--rm", "abc"], "an entry as"),
        (["bury"], "ACTION"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: list[str], said: str, around: dict[str, str], tmp_path: Path) -> None:
    done = scriptfleet("dead", *words, home=tmp_path, **around)

    assert done.returncode == 2
    assert said in one_line(done)


def bury(client: Client, data: bytes = b"{", kind: bytes = b"moved") -> None:
    """Let the reader of facts come across one that it cannot read."""
    broker = client.broker
    fields = {
        b"v": b"1",
        b"t": kind,
        b"j": b"0a6e9f0e-5d83-4d0b-8f3c-0c2b9e2a7f10",
        b"r": b"3",
        b"at": b"1",
        b"d": data,
    }
    broker.redis.xadd(broker.keys("events"), fields)
    EventReader(broker.redis, broker.keys, "c").read(block_ms=1)


def test_facts_that_were_set_aside_are_listed_with_the_reason_and_forgotten(
    client: Client, around: dict[str, str], tmp_path: Path
) -> None:
    bury(client)
    bury(client, kind=b"\x1b[31m")

    table = scriptfleet("dead", "events", home=tmp_path, **around).stdout
    listed = json.loads(scriptfleet("dead", "events", "--json", home=tmp_path, **around).stdout)

    assert "not readable" in table
    assert "\x1b" not in table
    assert all(len(line) <= 80 for line in table.splitlines())
    assert [one["job_id"] for one in listed] == ["0a6e9f0e-5d83-4d0b-8f3c-0c2b9e2a7f10"] * 2
    gone = scriptfleet("dead", "events", "--rm", listed[0]["entry"], home=tmp_path, **around)
    assert gone.stdout == "1 forgotten\n"
    again = scriptfleet("dead", "events", "--rm", listed[0]["entry"], home=tmp_path, **around)
    assert (again.returncode, again.stdout) == (1, "0 forgotten\n")


def test_facts_are_given_to_the_store_once_more_as_they_were(
    client: Client, around: dict[str, str], tmp_path: Path
) -> None:
    broker = client.broker
    for _ in range(3):
        bury(client)
    # What no version could read yesterday, the one that was upgraded can.
    for entry, fields in broker.redis.xrange(broker.keys("events", "dead")):
        broker.redis.xdel(broker.keys("events", "dead"), entry)
        broker.redis.xadd(broker.keys("events", "dead"), {**fields, b"d": b'{"state":"cancelled"}'})

    done = scriptfleet("dead", "events", "--reingest", "--all", home=tmp_path, **around)

    assert (done.returncode, done.stdout) == (0, "3 to be stored again\n"), done.stderr
    events = EventReader(broker.redis, broker.keys, "c").read(block_ms=1)
    # The audit log is told of it beside them.
    given = [(one.revision, one.data) for one in events if one.type is not EventType.AUDITED]
    assert given == [(3, {"state": "cancelled"})] * 3
    assert broker.redis.xlen(broker.keys("events", "dead")) == 0
    still = scriptfleet("dead", "events", home=tmp_path, **around)
    assert still.stderr == "no facts were set aside\n"


@pytest.mark.parametrize(
    "words", [["dead", "ls"], ["dead", "replay", "--all"], ["dead", "events"], ["cancel", "--group", "g"]]
)
def test_a_broker_that_is_away_is_told_in_one_line(words: list[str], tmp_path: Path) -> None:
    done = scriptfleet(*words, home=tmp_path, SCRIPTFLEET_REDIS_URL=f"unix://{tmp_path}/nothing.sock")

    assert done.returncode == 125
    assert "nothing.sock" in one_line(done)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rerun", "Robert'); --"], "job: "),
        (["rerun", "00000000-0000-4000-8000-000000000000"], "job not found"),
        (["retry", "00000000-0000-4000-8000-000000000000"], "job not found"),
        (["rerun", "4f0c2a9e-0000-4000-8000-000000000000", "--memory", "lots"], "lots"),
    ],
)
def test_a_rerun_of_what_is_not_there_is_told(
    words: list[str], said: str, around: dict[str, str], tmp_path: Path
) -> None:
    done = scriptfleet(*words, home=tmp_path, **around)

    assert done.returncode in {1, 2, 125}
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_arguments_of_a_rerun_are_given_behind_two_dashes_or_taken_away(
    client: Client, around: dict[str, str], tmp_path: Path
) -> None:
    script, function = client.submit_code("print(1)", ["a"]), client.submit_function("m:f", [1], {"k": 2})

    def rerun(*words: str) -> Job:
        done = scriptfleet("rerun", *words, home=tmp_path, **around)
        assert done.returncode == 0, done.stderr
        return client.job(done.stdout.strip())

    def spec(job: Job) -> dict:
        return json.loads(client.broker.redis.hget(client.broker.keys("job", job.id), "spec"))

    assert spec(rerun(script.id))["args"] == ["a"]
    assert spec(rerun(script.id, "--priority", "9", "--", "--help", "--", "-x"))["args"] == ["--help", "--", "-x"]
    assert "args" not in spec(rerun(script.id, "--no-args"))
    assert spec(rerun(function.id, "--", "3", '{"a": [1]}'))["config"]["args"] == [3, {"a": [1]}]
    refused = scriptfleet("rerun", function.id, "--", "abc", home=tmp_path, **around)
    assert refused.returncode == 2
    assert "JSON for a function" in refused.stderr
    assert f"job {function.id} is still queued" in refused.stderr
