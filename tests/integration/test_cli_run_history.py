"""What `scriptfleet run` keeps of its runs, and how it is seen again."""

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from scriptfleet.storage import local_history, migrate
from scriptfleet.storage.engine import open_store
from scriptfleet.storage.run_store import RunStore
from tests.command import EXAMPLES, one_line, scriptfleet, start
from tests.eventually import eventually

HISTORY = "script_runner_history.db"


def kept(home: Path, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(scriptfleet("run", "--show-history", "--json", *words, home=home).stdout)
    return found


def output_of(home: Path, run_id: str) -> tuple[bytes, bytes]:
    database = open_store(f"sqlite:///{home / HISTORY}")
    try:
        runs = RunStore(database)
        return b"".join(runs.output(run_id, "stdout")), b"".join(runs.output(run_id, "stderr"))
    finally:
        database.close()


def test_a_run_is_kept_in_the_folder_where_it_was_called_with_the_measures_that_were_told(tmp_path: Path) -> None:
    told = json.loads(
        scriptfleet("run", "--json", str(EXAMPLES / "forks_children.py"), "2", "0.05", home=tmp_path).stdout
    )

    assert (tmp_path / HISTORY).is_file()
    (run,) = kept(tmp_path)
    assert run["metrics"] == told["metrics"]
    assert (run["run_id"], run["job_id"], run["outcome"]) == (told["run_id"], told["job_id"], "succeeded")


def test_the_fleets_own_verbs_read_the_file(tmp_path: Path) -> None:
    scriptfleet("run", "--name", "mine", "--shell", "echo out; echo err >&2; exit 3", home=tmp_path)
    address = f"sqlite:///{tmp_path / HISTORY}"

    (job,) = json.loads(scriptfleet("ps", "--json", "--database", address, home=tmp_path).stdout)

    assert (job["name"], job["state"], job["worker"], job["attempt"]) == ("mine", "failed", "local", 1)
    assert output_of(tmp_path, kept(tmp_path)[0]["run_id"]) == (b"out\n", b"err\n")


def test_each_attempt_is_a_run_of_the_one_job(tmp_path: Path) -> None:
    words = ["--retry", "2", "--retry-delay", "50ms", "--shell", "test $SCRIPTFLEET_ATTEMPT = 3"]

    told = json.loads(scriptfleet("run", "--json", *words, home=tmp_path).stdout)

    runs = kept(tmp_path)
    assert (told["outcome"], told["attempts"], told["exit_code"]) == ("succeeded", 3, 0)
    assert [(run["attempt"], run["outcome"]) for run in runs] == [(3, "succeeded"), (2, "failed"), (1, "failed")]
    assert {run["job_id"] for run in runs} == {told["job_id"]}


def test_history_is_listed_by_script_and_to_a_limit(tmp_path: Path) -> None:
    for name in ("a", "b", "a"):
        scriptfleet("run", "--quiet", "--name", name, "--shell", "true", home=tmp_path)

    assert len(kept(tmp_path)) == 3
    assert len(kept(tmp_path, "--history-limit", "2")) == 2
    assert [run["name"] for run in kept(tmp_path, "--name", "a")] == ["a", "a"]
    assert kept(tmp_path, "some/where/b.py") == []
    scriptfleet("run", "--quiet", str(EXAMPLES / "sales_report"), home=tmp_path)
    assert [run["name"] for run in kept(tmp_path, str(EXAMPLES / "sales_report"))] == ["sales_report/main.py"]
    table = scriptfleet("run", "--show-history", "--history-days", "1", home=tmp_path).stdout
    assert table.count("succeeded") == 4
    assert max(map(len, table.splitlines())) <= 80
    assert table.splitlines()[0].split() == [
        "began",
        "run",
        "outcome",
        "name",
        "try",
        "exit",
        "wall",
        "s",
        "CPU",
        "s",
        "MiB",
    ]


def test_without_history_no_file_is_made(tmp_path: Path) -> None:
    scriptfleet("run", "--disable-history", "--shell", "true", home=tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_another_file_may_be_named_and_counted(tmp_path: Path) -> None:
    for code in ("0", "0", "1"):
        scriptfleet("run", "--history-db", "other.db", "--shell", f"exit {code}", home=tmp_path)

    totals = json.loads(scriptfleet("run", "--history-db", "other.db", "--db-stats", "--json", home=tmp_path).stdout)

    assert not (tmp_path / HISTORY).exists()
    assert (totals["jobs"], totals["runs"], totals["outcomes"]) == (3, 3, {"failed": 1, "succeeded": 2})
    assert totals["size_bytes"] == (tmp_path / "other.db").stat().st_size
    shown = scriptfleet("run", "--history-db", "other.db", "--db-stats", home=tmp_path).stdout
    assert "3 (1 failed, 2 succeeded)" in shown


def age(path: Path, days: int) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE jobs SET finished_at = finished_at - ?", [days * 86_400])


def test_what_ended_long_ago_is_deleted_when_asked(tmp_path: Path) -> None:
    scriptfleet("run", "--shell", "true", home=tmp_path)
    age(tmp_path / HISTORY, 10)
    scriptfleet("run", "--shell", "true", home=tmp_path)

    result = scriptfleet("run", "--cleanup-old", "7", home=tmp_path)

    assert (result.returncode, result.stderr) == (0, "deleted 1 jobs\n")
    assert len(kept(tmp_path)) == 1


def test_what_is_older_than_the_configuration_keeps_goes_with_the_next_run(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("database: {path: kept.db, auto_cleanup: true, retention_days: 7}")
    scriptfleet("run", "--config", str(config), "--shell", "true", home=tmp_path)
    age(tmp_path / "kept.db", 8)

    scriptfleet("run", "--config", str(config), "--shell", "true", home=tmp_path)

    assert len(kept(tmp_path, "--config", str(config))) == 1


def test_a_secret_is_in_no_part_of_the_file(tmp_path: Path) -> None:
    script = "echo $API_TOKEN; echo $DB_PASSWORD >&2"

    scriptfleet(
        "run",
        "--secret",
        "API_TOKEN",
        "--env",
        "DB_PASSWORD=s3cret-two",
        "--shell",
        script,
        home=tmp_path,
        API_TOKEN="s3cret-one",
    )

    content = (tmp_path / HISTORY).read_bytes()
    assert b"s3cret" not in content
    (run,) = kept(tmp_path)
    assert output_of(tmp_path, run["run_id"]) == (b"***\n", b"***\n")


@pytest.mark.parametrize("words", [["--show-history"], ["--db-stats"], ["--cleanup-old", "3"]])
def test_where_there_is_no_history_that_is_told_and_none_is_made(words: list[str], tmp_path: Path) -> None:
    result = scriptfleet("run", *words, home=tmp_path)

    assert result.returncode == 125
    assert "no such file" in one_line(result)
    assert list(tmp_path.iterdir()) == []


def test_a_history_that_cannot_be_kept_is_told_and_changes_nothing_else(tmp_path: Path) -> None:
    (tmp_path / HISTORY).write_text("something else, of some length, that is no database at all\n" * 20)

    result = scriptfleet("run", "--quiet", "--shell", "echo hi; exit 4", home=tmp_path)
    hushed = scriptfleet("run", "--quiet", "--suppress-warnings", "--shell", "exit 4", home=tmp_path)

    assert (result.returncode, result.stdout) == (4, "hi\n")
    assert "history not kept: no usable database" in one_line(result)
    assert (hushed.returncode, hushed.stderr) == (4, "")


def test_a_history_of_an_older_version_is_brought_up_to_date_and_loses_nothing(tmp_path: Path) -> None:
    database = open_store(f"sqlite:///{tmp_path / HISTORY}")
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    with database.writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(sa.text("INSERT INTO runs (run_id, job_id, name, started_at) VALUES ('r', 'j', 'old', 1)"))
    database.close()

    result = scriptfleet("run", "--quiet", "--name", "new", "--shell", "true", home=tmp_path)

    assert (result.returncode, result.stderr) == (0, "")
    assert [run["name"] for run in kept(tmp_path, "--history-days", "36500")] == ["new", "old"]


def test_a_history_of_a_newer_version_is_left_alone_and_told(tmp_path: Path) -> None:
    scriptfleet("run", "--shell", "true", home=tmp_path)
    with closing(sqlite3.connect(tmp_path / HISTORY)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    result = scriptfleet("run", "--quiet", "--shell", "true", home=tmp_path)

    assert result.returncode == 0
    assert "newer than this version" in one_line(result)


def test_a_database_that_is_away_is_told_after_the_run(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("database: {url: 'postgresql://nobody@127.0.0.1:1/none'}")

    result = scriptfleet("run", "--quiet", "--config", "c.yaml", "--shell", "exit 6", home=tmp_path)

    assert result.returncode == 6
    assert "history not kept" in result.stderr


@pytest.mark.postgres
def test_history_may_be_kept_in_a_shared_database(postgres_database_url: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"database: {{url: '{postgres_database_url}'}}")

    scriptfleet("run", "--config", "c.yaml", "--name", "shared", "--shell", "true", home=tmp_path)

    assert [run["name"] for run in kept(tmp_path, "--config", "c.yaml")] == ["shared"]
    assert not (tmp_path / HISTORY).exists()


def test_an_interrupt_between_two_attempts_ends_the_job(tmp_path: Path) -> None:
    process = start("run", "--retry", "1", "--retry-delay", "60s", "--shell", "exit 1", home=tmp_path)
    assert process.stderr is not None
    assert "attempt 1 of 2: the next in 60 s" in process.stderr.readline()

    process.send_signal(signal.SIGINT)

    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "cancelled" in err
    (job,) = json.loads(
        scriptfleet("ps", "--json", "--database", f"sqlite:///{tmp_path / HISTORY}", home=tmp_path).stdout
    )
    assert job["state"] == "cancelled"


def test_an_interrupted_run_is_kept_as_cancelled(tmp_path: Path) -> None:
    process = start("run", "--grace", "1s", str(EXAMPLES / "sleeps.py"), "30", home=tmp_path)
    assert process.stdout is not None
    process.stdout.readline()

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    eventually(lambda: [run["outcome"] for run in kept(tmp_path)] == ["cancelled"], within=60)


def test_the_file_of_the_schema_is_part_of_the_package() -> None:
    assert local_history.schema()[-1].startswith("INSERT INTO alembic_version")
