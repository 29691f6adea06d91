"""A history file is the store's own database, whichever of the two ways it was written."""

import sqlite3
import stat
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from subprocess import Popen

import pytest
import sqlalchemy as sa

from scriptfleet.domain.event import Event
from scriptfleet.domain.ids import new_job_id, new_run_id
from scriptfleet.domain.run import Artifact
from scriptfleet.domain.state import State
from scriptfleet.errors import StoreUnreachable
from scriptfleet.storage import local_history, migrate, tables
from scriptfleet.storage.engine import open_store
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.local_history import LocalHistory
from scriptfleet.storage.run_store import RunStore
from tests import event_factory as make
from tests.command import ROOT
from tests.new_file_schema import FILE, as_migrated

KEPT = Artifact("plot.png", 6000, "c" * 64)


def all_rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in names}


def stored_by_ingest(path: Path, batches: Sequence[Sequence[Event]]) -> None:
    migrate.upgrade(f"sqlite:///{path}")
    database = open_store(f"sqlite:///{path}")
    for batch in batches:
        IngestStore(database).apply(batch)
    database.close()


def retried_then_cancelled() -> list[list[Event]]:
    """Give the facts of a job as `run` tells them: by attempt, the submit each time, and an end between two."""
    job_id, runs = new_job_id(), [new_run_id(), new_run_id()]
    spec = make.shell_spec(labels={"team": "x"}, env={"API_TOKEN": "hush"})
    batches = [
        [
            make.submitted(job_id, spec),
            make.claimed(job_id, run_id, revision=2 * at, attempt=at, at_ms=make.START_MS + 5000 * at),
            make.output(job_id, run_id, b"hello\n\xff" * at),
            make.output(job_id, run_id, b"oh", stream="stderr"),
            make.finished(
                make.record(job_id, run_id, State.FAILED, attempt=at, output_data="text", artifacts=[KEPT]),
                revision=2 * at + 1,
                state="delayed",
                at_ms=make.START_MS + 5000 * at + 2000,
            ),
        ]
        for at, run_id in enumerate(runs, 1)
    ]
    return [*batches, [batches[0][0], make.moved(job_id, 6, State.CANCELLED, reason="interrupted")]]


def test_both_ways_of_writing_give_the_same_rows(tmp_path: Path) -> None:
    batches = retried_then_cancelled()

    stored_by_ingest(tmp_path / "ingest.db", batches)
    history = LocalHistory(tmp_path / "local.db")
    for batch in batches:
        assert history.add(batch)

    assert all_rows(tmp_path / "local.db") == all_rows(tmp_path / "ingest.db")


def test_a_file_that_the_store_made_can_be_written_to_and_read_by_it(sqlite_url: str) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    events = make.whole_job()

    assert LocalHistory(path).add(events)

    database = open_store(sqlite_url)
    run = RunStore(database).get(events[1].data["run_id"])
    database.close()
    assert (run.name, run.outcome, run.usage.custom) == ("hello.sh", State.SUCCEEDED, {"rows": 12.0})


def test_a_new_file_has_exactly_the_schema_that_the_migrations_make() -> None:
    assert FILE.read_text() == as_migrated(), "write it anew: python -m tests.new_file_schema"


def test_the_columns_of_json_are_those_of_the_tables() -> None:
    # No run writes the audit log.
    written = [table for table in tables.metadata.sorted_tables if table is not tables.audit]
    found = {column.name for table in written for column in table.c if isinstance(column.type, sa.JSON)}

    assert found == local_history.JSON_COLUMNS


def test_only_its_owner_reads_a_new_file(tmp_path: Path) -> None:
    LocalHistory(tmp_path / "h.db").add(make.whole_job())

    assert stat.S_IMODE((tmp_path / "h.db").stat().st_mode) == 0o600


def test_a_file_of_another_version_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    LocalHistory(path).add(make.whole_job())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = all_rows(path)

    assert not LocalHistory(path).add(make.whole_job())

    assert all_rows(path) == before


@pytest.mark.parametrize("content", [b"no database, but long enough to look like a file of one" * 20, b"\0" * 4096])
def test_a_file_that_is_no_database_is_told_and_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    path.write_bytes(content)

    with pytest.raises(StoreUnreachable, match=r"h\.db"):
        LocalHistory(path).add(make.whole_job())

    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachable, match="No such file"):
        LocalHistory(tmp_path / "none" / "h.db").add(make.whole_job())


def test_many_that_make_and_write_one_file_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    program = (
        "import sys; from pathlib import Path; from tests import event_factory as make; "
        "from scriptfleet.storage.local_history import LocalHistory; "
        "[LocalHistory(Path(sys.argv[1])).add(make.whole_job()) for _ in range(5)]"
    )

    writers = [Popen([sys.executable, "-c", program, str(path)], cwd=ROOT) for _ in range(4)]

    assert [writer.wait(60) for writer in writers] == [0] * 4
    assert len(all_rows(path)["runs"]) == 20


def test_what_is_old_is_forgotten_and_the_file_shrinks(tmp_path: Path) -> None:
    path, day_ms = tmp_path / "h.db", 86_400_000
    history = LocalHistory(path)
    for day in range(10):
        events = make.whole_job(at_ms=make.START_MS + day * day_ms)
        noise = bytes(range(256)) * 400
        history.add([*events, make.output(events[0].job_id, events[1].data["run_id"], noise)])
    size = path.stat().st_size

    gone = history.forget(make.START_MS / 1000 + 8 * 86_400)
    history.shrink()

    left = all_rows(path)
    assert (gone, len(left["jobs"]), len(left["runs"]), len(left["outputs"]), len(left["curves"])) == (8, 2, 2, 2, 2)
    assert path.stat().st_size < size
