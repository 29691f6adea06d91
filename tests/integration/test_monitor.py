"""The monitor over a real broker and a real store: what it finds, what it does, and that looking changes nothing."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa

import scriptfleet
from scriptfleet.cli.dispatch import main
from scriptfleet.config import load_settings
from scriptfleet.domain.state import State
from scriptfleet.queues.claims import Renewal
from scriptfleet.queues.fleet import Presence, SignOfLife
from scriptfleet.storage.engine import open_store
from scriptfleet.storage.tables import metadata
from tests.command import ROOT
from tests.integration.test_restore import Bench


@pytest.fixture
def bench(
    redis_client: redis.Redis, redis_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    own = {"HOME": str(tmp_path), "REDIS_URL": redis_url, "DATABASE_URL": database_url}
    for name, value in own.items():
        monkeypatch.setenv(f"SCRIPTFLEET_{name}", value)
    database = open_store(database_url)
    made = Bench(load_settings(), database)
    made.service().look()
    yield made
    made.redis.close()
    database.close()


def joined(bench: Bench, name: str = "w1", queues: tuple[str, ...] = ("default",)) -> None:
    Presence(bench.redis, bench.keys, name).tell(SignOfLife("host-1", 4, 0, list(queues), "0.1.0"))


def lease_over(bench: Bench, group: str = "etl") -> str:
    job = bench.client.submit_shell("sleep 60", name="crunch", group=group)
    bench.claim(job.id)
    bench.redis.zadd(bench.keys("leases"), {job.id: 1})
    return job.id


def worker_gone(bench: Bench, group: str = "etl") -> str:
    job = bench.client.submit_shell("sleep 60", name="far", group=group)
    bench.claim(job.id)
    return job.id


def message_lost(bench: Bench, group: str = "etl") -> str:
    job = bench.client.submit_shell("true", name="lost", group=group)
    bench.redis.delete(bench.keys("celery", "default"))
    bench.redis.zadd(bench.keys("admitted", "default"), {job.id: 1})
    return job.id


def overdue(bench: Bench, group: str = "etl") -> str:
    job = bench.client.submit_shell("true", name="late", group=group, not_before=4_000_000_000)
    bench.redis.zadd(bench.keys("delayed"), {job.id: 1})
    return job.id


def unknown(bench: Bench, group: str = "etl") -> str:
    job = bench.client.submit_shell("true", name="forgotten", group=group)
    bench.store_events()
    for key in ("ready", "admitted"):
        bench.redis.zrem(bench.keys(key, "default"), job.id)
    bench.redis.delete(bench.keys("job", job.id))
    return job.id


STUCK = {
    "lease_over": lease_over,
    "worker_gone": worker_gone,
    "message_lost": message_lost,
    "overdue": overdue,
    "unknown": unknown,
}


def stuck(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, Any]]:
    capsys.readouterr()
    assert main(["monitor", "--json", *words]) == 0
    return {job["job_id"]: job for job in json.loads(capsys.readouterr().out)["stuck"]}


def value_of(client: redis.Redis, key: bytes) -> Any:
    # Not DUMP: a server may write the same value in two ways.
    readers = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"stream": lambda key: (client.xrange(key), client.xinfo_stream(key, full=True)),
    }
    return readers[client.type(key)](key)


def everything(bench: Bench) -> tuple[dict[bytes, Any], dict[str, list[str]]]:
    """Give every key's value, and when it goes, and every row."""
    names = set(bench.redis.keys("*")) - {b"{scriptfleet}:fullness"}  # gone in a second by itself
    keys = {key: (value_of(bench.redis, key), bench.redis.pexpiretime(key)) for key in names}
    with bench.database.reading() as connection:
        rows = {
            table.name: sorted(map(repr, connection.execute(sa.select(table)).all()))
            for table in metadata.sorted_tables
        }
    return keys, rows


@pytest.mark.parametrize("why", STUCK)
def test_each_way_of_standing_still_is_found_by_its_name(
    bench: Bench, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = STUCK[why](bench)
    bench.store_events()

    found = stuck(capsys, "--dry-run")

    assert {one["job_id"]: (one["why"], one["group"], one["done"]) for one in found.values()} == {
        job_id: (why, "etl", None)
    }


def test_what_goes_its_way_is_not_stuck(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    joined(bench)
    bench.client.submit_shell("true")
    bench.client.submit_shell("true", not_before=4_000_000_000)
    bench.claim(bench.client.submit_shell("true").id)
    bench.finish(bench.claim(bench.client.submit_shell("true").id))
    bench.store_events()

    assert stuck(capsys) == {}


def test_looking_changes_nothing_at_all(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    for make_stuck in STUCK.values():
        make_stuck(bench)
    bench.store_events()
    unknown(bench)
    before = everything(bench)

    assert main(["monitor", "--dry-run", "--verbose"]) == 0
    assert main(["monitor", "etl", "--dry-run", "--json"]) == 0
    scriptfleet.monitor.run_monitor(dry_run=True, verbose=True)
    scriptfleet.monitor.get_job_status()
    scriptfleet.monitor.list_active_jobs()

    assert everything(bench) == before
    capsys.readouterr()


def test_what_stands_still_is_set_going_again(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    made = {why: make_stuck(bench) for why, make_stuck in STUCK.items()}
    bench.store_events()
    joined(bench, "w2")

    done = {found["why"]: found["done"] for found in stuck(capsys).values()}

    again = "set going again"
    assert done == {
        "lease_over": again,
        "message_lost": again,
        "overdue": again,
        "unknown": "submitted again",
        "worker_gone": "it is rescued when its lease ends",
    }
    states = {why: bench.client.job(job_id).state() for why, job_id in made.items()}
    assert states.pop("worker_gone") is State.RUNNING
    assert set(states.values()) == {State.QUEUED}
    assert set(stuck(capsys)) == {made["worker_gone"]}


def test_a_lost_message_waits_while_no_worker_serves_its_queue(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    job_id = message_lost(bench)
    joined(bench, "w2", ("reports",))

    assert stuck(capsys)[job_id]["done"] == "it waits for a worker of its queue"


def test_a_running_job_that_the_broker_does_not_know_has_its_lease_again(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    joined(bench)
    job = bench.client.submit_shell("sleep 60")
    claim = bench.claim(job.id)
    bench.store_events()
    bench.redis.zrem(bench.keys("leases"), job.id)
    bench.redis.delete(bench.keys("job", job.id))

    found = stuck(capsys)[job.id]

    assert (found["why"], found["done"].split(":")[0]) == ("unknown", "its lease begins anew")
    assert bench.claims.renew([Renewal(job.id, claim.run_id, 15.0)]) == {claim.run_id: "kept"}


def test_one_group_is_looked_at_alone(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    etl, other = lease_over(bench), lease_over(bench, "other")
    gone, kept = unknown(bench), unknown(bench, "other")
    bench.store_events()

    assert set(stuck(capsys, "etl", "--dry-run")) == {etl, gone}
    assert set(stuck(capsys, "--dry-run")) == {etl, other, gone, kept}
    assert scriptfleet.monitor.run_monitor(group="other", dry_run=True)["stuck"] == {"other": 2}


def test_counts_are_by_group(bench: Bench) -> None:
    joined(bench)
    lease_over(bench)
    for group, state in (("etl", State.SUCCEEDED), ("etl", State.FAILED), (None, State.TIMED_OUT)):
        bench.finish(bench.claim(bench.client.submit_shell("true", group=group).id), state)
    bench.client.submit_shell("true", group="etl")
    bench.store_events()

    counts = scriptfleet.monitor.run_monitor(dry_run=True)

    assert counts == {
        "total": {"etl": 4, "ungrouped": 1},
        "active": {"etl": 1, "ungrouped": 0},
        "complete": {"etl": 1, "ungrouped": 0},
        "stuck": {"etl": 1, "ungrouped": 0},
        "failed": {"etl": 1, "ungrouped": 1},
    }


def test_while_the_store_is_behind_or_the_broker_wiped_the_two_are_not_compared(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown(bench)
    bench.redis.delete(bench.keys("events"))
    bench.redis.xadd(bench.keys("events"), {"v": "1"}, id="1-1")
    assert main(["monitor"]) == 0
    assert "behind: is the results service up?" in capsys.readouterr().err

    bench.wipe()
    assert main(["monitor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["not_compared"].startswith("the broker was wiped")
    assert told["stuck"] == []


def test_statuses_are_those_of_the_newest_job_of_each_name(bench: Bench) -> None:
    bench.finish(bench.claim(bench.client.submit_shell("true", name="load", group="etl").id), State.FAILED)
    bench.store_events()
    bench.client.submit_shell("true", name="load", group="etl")
    bench.client.submit_shell("true", name="load")
    bench.store_events()

    assert scriptfleet.monitor.get_job_status() == {"etl/load": "queued", "ungrouped/load": "queued"}
    assert scriptfleet.monitor.get_job_status(group="etl", name="load") == {"etl/load": "queued"}
    assert scriptfleet.monitor.get_job_status(name="other") == {}


def test_active_jobs_are_listed_with_what_they_use(bench: Bench) -> None:
    joined(bench)
    running = bench.claim(bench.client.submit_shell("true", name="crunch", group="etl").id)
    reading = json.dumps({"cpu_percent": 97.5, "memory_mb": 12.25})
    bench.claims.renew([Renewal(running.job_id, running.run_id, 15.0, reading)])
    joined(bench)
    bench.client.submit_shell("true", name="later", group="etl")
    bench.client.submit_shell("true", group="other")
    bench.store_events()

    first, second = scriptfleet.monitor.list_active_jobs(group="etl")

    named = ("name", "group", "status", "worker", "cpu", "memory")
    assert [first[name] for name in named] == ["crunch", "etl", "running", "w1", 97.5, 12.25]
    assert first["started"] <= first["last_sign_of_life"]
    assert [second[name] for name in named] == ["later", "etl", "queued", None, None, None]
    assert len(scriptfleet.monitor.list_active_jobs()) == 3


def test_answers_have_the_forms_that_data_frames_are_made_of(bench: Bench) -> None:
    lease_over(bench)
    lease_over(bench, "other")
    bench.store_events()

    # Columns by index; rows by column. Both without anything nested.
    columns, rows = scriptfleet.monitor.run_monitor(dry_run=True), scriptfleet.monitor.list_active_jobs()
    assert {tuple(column) for column in columns.values()} == {("etl", "other")}
    assert {tuple(row) for row in rows} == {tuple(rows[0])}
    assert not any(isinstance(value, dict | list | tuple) for row in rows for value in row.values())


def test_a_broker_or_store_that_is_away_is_told_in_a_sentence(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPTFLEET_REDIS_URL", "unix:///nowhere/redis.sock")
    with pytest.raises(RuntimeError, match=r"^no broker at unix:///nowhere/redis\.sock"):
        scriptfleet.monitor.run_monitor()
    with pytest.raises(RuntimeError, match=r"^no broker at unix:///nowhere/redis\.sock"):
        scriptfleet.monitor.list_active_jobs()

    monkeypatch.setenv("SCRIPTFLEET_DATABASE_URL", "sqlite:////nowhere/store.db")
    for ask in (
        scriptfleet.monitor.run_monitor,
        scriptfleet.monitor.get_job_status,
        scriptfleet.monitor.list_active_jobs,
    ):
        with pytest.raises(RuntimeError, match=r"^no usable database at sqlite:////nowhere/store\.db: no such file"):
            ask()


def test_arguments_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        scriptfleet.monitor.run_monitor("etl")  # type: ignore[misc]


def test_the_module_is_loaded_when_it_is_first_used() -> None:
    code = (
        "import sys, scriptfleet; assert 'sqlalchemy' not in sys.modules; "
        "scriptfleet.monitor.run_monitor; assert 'sqlalchemy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_people_get_a_table_and_lines_that_fit(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    job_id = lease_over(bench, "a group with a very long name " * 4)
    bench.store_events()

    assert main(["monitor", "--verbose"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["group", "total", "active", "complete", "stuck", "failed"]
    assert all(len(line) <= 80 for line in lines[:3])
    assert lines[-1].startswith(job_id)
    assert lines[-1].endswith("lease_over: set going again")
