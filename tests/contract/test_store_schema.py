"""Opening a database and bringing it to the schema of this version; one body for every kind of database."""

import stat
import struct
import threading
import zlib
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from scriptfleet.domain.sample import Sample
from scriptfleet.errors import InvalidValue, StoreUnreachable
from scriptfleet.storage import migrate, segment_plan
from scriptfleet.storage.distribution import aggregates
from scriptfleet.storage.engine import Database, open_store
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.run_row import RUN_COLUMNS
from scriptfleet.storage.run_store import RunStore
from scriptfleet.storage.segment_making import make_segments
from scriptfleet.storage.tables import metadata, runs
from tests import event_factory as make


def test_an_empty_database_comes_to_exactly_the_tables_that_the_code_uses(empty_database_url: str) -> None:
    assert migrate.current(empty_database_url) is None

    migrate.upgrade(empty_database_url)

    assert migrate.current(empty_database_url) == migrate.head()
    database = open_store(empty_database_url)
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()


def test_the_values_of_a_run_are_in_the_order_of_its_columns() -> None:
    assert tuple(runs.c.keys()) == RUN_COLUMNS


def test_upgrading_again_keeps_every_row(database_url: str) -> None:
    database = open_store(database_url)
    IngestStore(database).apply(make.whole_job())

    migrate.upgrade(database_url)

    with database.reading() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM runs")).scalar() == 1
    database.close()


EARLIER = [one.revision for one in migrate._scripts().walk_revisions() if one.revision != migrate.head()]


@pytest.mark.parametrize("revision", EARLIER)
def test_rows_from_before_a_column_existed_stay_and_show_null(
    empty_database_url: str, revision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade_to(empty_database_url, revision)
    database = open_store(empty_database_url)
    row = {"run_id": "old-run", "job_id": "old-job", "name": "old.py", "started_at": 5.0, "cpu_avg": 80.0}
    if revision >= "0005":
        # The database computed it until then.
        row["began_at"] = 5.0
    with database.writing() as connection:
        connection.execute(sa.insert(sa.table("runs", *map(sa.column, row))), row)
        curve = {"run_id": "old-run", "packed": zlib.compress(b"\x01" + struct.pack("<4d", 0.5, 50.0, 20.5, 2))}
        connection.execute(sa.insert(sa.table("curves", *map(sa.column, curve))), curve)

    migrate.upgrade(empty_database_url)
    store = RunStore(database)
    assert store.curve("old-run") == [Sample(0.5, 50.0, 20.5, 2, None, None)]
    assert store.process_tree("old-run") is None

    IngestStore(database).apply(make.whole_job())
    old = RunStore(database).get("old-run")
    assert (old.began_at, old.usage.cpu_avg, old.usage.memory_stalled_seconds) == (5.0, 80.0, None)
    assert old.artifacts is None
    with database.reading() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM runs")).scalar() == 2

    monkeypatch.setattr(segment_plan, "LEAST_RUNS", 1)
    assert make_segments(database, 1e9) >= 1
    counted = Metric("cpu_avg", RunFilter(name="old.py"))
    assert aggregates(database, counted, ("count", "sum")) == {"count": 1, "sum": 80.0}
    with database.writing() as connection:
        connection.execute(sa.text("DELETE FROM runs WHERE name = 'old.py'"))
    assert aggregates(database, counted, ("count",)) == {"count": 0}
    database.close()


BEFORE_GROUPS_OF_RUNS = [revision for revision in EARLIER if revision < "0005"]


@pytest.mark.parametrize("revision", BEFORE_GROUPS_OF_RUNS)
def test_runs_and_labels_from_before_are_found_by_group_and_label(empty_database_url: str, revision: str) -> None:
    upgrade_to(empty_database_url, revision)
    database = open_store(empty_database_url)
    values = '5.0, \'succeeded\', 1, 1, 1, \'{"team": "x", "region": "eu"}\', \'nightly\''
    with database.writing() as connection:
        for job_id, given in (("j1", values), ("j2", "6.0, 'succeeded', 1, 1, 1, NULL, NULL"), ("j3", values)):
            connection.exec_driver_sql(
                "INSERT INTO jobs (submitted_at, state, revision, attempt, run_revision, labels, group_name, job_id) "
                f"VALUES ({given}, '{job_id}')"
            )
            connection.exec_driver_sql(f"INSERT INTO runs (run_id, job_id) VALUES ('run-{job_id}', '{job_id}')")
        connection.exec_driver_sql("UPDATE jobs SET labels = 'null' WHERE job_id = 'j3'")

    migrate.upgrade(empty_database_url)

    with database.reading() as connection:
        groups = connection.execute(sa.text("SELECT run_id, group_name FROM runs ORDER BY run_id")).all()
        found = connection.execute(sa.text("SELECT job_id, name, value FROM labels ORDER BY name")).all()
    assert groups == [("run-j1", "nightly"), ("run-j2", None), ("run-j3", "nightly")]
    assert found == [("j1", "region", "eu"), ("j1", "team", "x")]
    database.close()


def upgrade_to(url: str, revision: str) -> None:
    """Bring a database to an earlier schema, as the version of its time did."""
    database = open_store(url)
    with database.writing() as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    database.close()


def test_two_that_upgrade_at_once_make_one_schema(empty_database_url: str) -> None:
    open_store(empty_database_url).close()
    faults: list[BaseException] = []

    def upgrade() -> None:
        try:
            migrate.upgrade(empty_database_url)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=upgrade) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    assert migrate.current(empty_database_url) == migrate.head()


def test_a_missing_schema_is_refused_with_the_command_that_makes_it(empty_database_url: str) -> None:
    database = open_store(empty_database_url)

    with pytest.raises(StoreUnreachable, match=r"its schema is missing, this version needs .*`scriptfleet db upgrade`"):
        migrate.require_current(database)
    database.close()


def test_a_newer_schema_is_refused_by_name_and_left_alone(database_url: str) -> None:
    database = open_store(database_url)
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreUnreachable, match=r"its schema 9999 is newer than .*: upgrade scriptfleet"):
        migrate.require_current(database)
    with pytest.raises(StoreUnreachable, match="9999"):
        migrate.upgrade(database_url)
    assert migrate.current(database_url) == "9999"
    database.close()


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "mysql://host/db", "sqlite://", "sqlite:///:memory:", "postgresql://h", "postgresql://h:port/db"],
)
def test_an_address_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(InvalidValue, match="expected sqlite:"):
        open_store(url)


def test_a_database_that_is_away_is_named_without_its_password() -> None:
    database = open_store("postgres://me:secret@127.0.0.1:1/fleet")

    with pytest.raises(StoreUnreachable, match=r"postgres://me:\*\*\*@127.0.0.1:1/fleet: .*refused") as caught:
        database.ping()
    assert "secret" not in str(caught.value)


def test_a_sqlite_file_is_private_and_its_folder_is_made(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/new/store.db").close()

    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "new" / "store.db").stat().st_mode) == 0o600


def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, but long enough to look like one" * 100)
    database = open_store(f"sqlite:///{tmp_path}/notes.txt")

    with pytest.raises(StoreUnreachable, match="file is not a database") as caught:
        database.ping()
    assert "\n" not in str(caught.value)
    database.close()


def test_a_path_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachable, match="Is a directory"):
        open_store(f"sqlite:///{tmp_path}")


def test_a_table_that_is_missing_is_told_as_such_and_not_as_a_database_that_is_away(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(sa.text("DROP TABLE tails"))

    with pytest.raises(StoreUnreachable, match=r"its tables or rights do not fit \(.*tails.*db upgrade"):
        IngestStore(database).apply(make.whole_job())
    with pytest.raises(StoreUnreachable, match="its tables or rights do not fit"), database.reading() as connection:
        connection.execute(sa.text("SELECT no_such FROM jobs"))


@pytest.mark.postgres
def test_a_row_that_no_index_can_hold_is_refused_as_a_value(postgres_database_url: str) -> None:
    database = open_store(postgres_database_url)
    # Not to be made small by compression.
    name = "".join(chr(0x4E00 + (at * at * 7919 + at) % 20_000) for at in range(9_000))

    with pytest.raises(InvalidValue, match=r"row: .*index row"), database.writing() as connection:
        connection.execute(
            sa.text("INSERT INTO runs (run_id, job_id, name, claimed_at) VALUES ('r', 'j', :name, 1)"), {"name": name}
        )
    database.close()
