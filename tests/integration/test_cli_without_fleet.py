"""Verbs that need a fleet, where there is none: one clear line, soon."""

import json
import os
import time
from pathlib import Path

import pytest

from tests.command import one_line, scriptfleet

DEAD = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize(
    "words", [["submit", "--shell", "true"], ["status"], ["worker"], ["beat"], ["flower"], ["server"]]
)
def test_without_an_address_the_way_to_one_is_told(words: list[str], tmp_path: Path) -> None:
    result = scriptfleet(*words, home=tmp_path)

    assert result.returncode == 2
    assert "SCRIPTFLEET_REDIS_URL" in one_line(result)


@pytest.mark.parametrize(
    "words", [["submit", "--shell", "true"], ["status"], ["cancel", "0" * 8 + "-0000-4000-8000-" + "0" * 12]]
)
def test_a_dead_broker_is_told_within_5_seconds(words: list[str], tmp_path: Path) -> None:
    began = time.monotonic()

    result = (
        scriptfleet(*words, "--redis", DEAD, home=tmp_path)
        if words[0] == "status"
        else scriptfleet(words[0], "--redis", DEAD, *words[1:], home=tmp_path)
    )

    assert time.monotonic() - began < 5
    assert result.returncode == 125
    assert f"no broker at {DEAD}" in one_line(result)


def test_ps_without_a_database_says_so_and_makes_none(tmp_path: Path) -> None:
    result = scriptfleet("ps", home=tmp_path)

    assert result.returncode == 125
    assert "no usable database" in one_line(result)
    assert not (tmp_path / "scriptfleet.db").exists()


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    result = scriptfleet("status", "--redis", "redis://:s3cret@127.0.0.1:1/0", home=tmp_path)

    assert "s3cret" not in result.stdout + result.stderr


def test_flower_does_not_open_to_others_without_a_login(tmp_path: Path) -> None:
    result = scriptfleet("flower", "--redis", DEAD, "--address", "0.0.0.0", home=tmp_path)

    assert result.returncode == 2
    assert "--basic-auth" in one_line(result)


def test_the_server_does_not_open_to_others_without_a_token(tmp_path: Path) -> None:
    result = scriptfleet("server", "--redis", DEAD, "--host", "0.0.0.0", home=tmp_path)

    assert result.returncode == 2
    assert "SCRIPTFLEET_API_TOKEN" in one_line(result)


@pytest.mark.parametrize("job", ["xyz", "no-such-job", "123", "a/b", ""])
def test_what_is_no_job_id_is_refused(job: str, tmp_path: Path) -> None:
    result = scriptfleet("status", "--redis", DEAD, job, home=tmp_path)

    assert result.returncode == 2
    assert "a job's id" in one_line(result)


def test_db_upgrade_makes_the_schema_and_current_shows_it(tmp_path: Path) -> None:
    assert scriptfleet("db", "current", home=tmp_path).returncode == 1

    assert scriptfleet("db", "upgrade", home=tmp_path).returncode == 0

    assert scriptfleet("db", "current", home=tmp_path).returncode == 0


def test_schedules_are_added_listed_and_removed(tmp_path: Path) -> None:
    scriptfleet("db", "upgrade", home=tmp_path)

    added = scriptfleet("schedule", "add", "tick", "--every", "1h", "--shell", "date", home=tmp_path)
    again = scriptfleet("schedule", "add", "tick", "--every", "1h", "--shell", "date", home=tmp_path)
    listed = scriptfleet("schedule", "ls", home=tmp_path)
    removed = scriptfleet("schedule", "rm", "tick", home=tmp_path)
    gone = scriptfleet("schedule", "rm", "tick", home=tmp_path)

    assert (added.returncode, again.returncode, removed.returncode, gone.returncode) == (0, 2, 0, 2)
    assert "tick" in listed.stdout
    assert "tick" in one_line(again)
    assert "tick" in one_line(gone)


def test_doctor_names_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    result = scriptfleet("doctor", "--redis", DEAD, home=tmp_path)

    assert result.returncode == 1
    assert f"fail  broker       no broker at {DEAD}" in result.stdout
    assert "scriptfleet up" in result.stdout
    assert "fail  database" in result.stdout


def test_doctor_says_how_runs_are_accounted_and_why(tmp_path: Path) -> None:
    found = json.loads(
        scriptfleet("doctor", "--json", "--redis", DEAD, home=tmp_path, SCRIPTFLEET_MONITOR="rusage").stdout
    )

    (accounting,) = [finding for finding in found if finding["what"] == "accounting"]
    assert accounting["found"].startswith("rusage (")
    assert "wait4" in accounting["found"]


def test_reading_makes_neither_folders_nor_files(tmp_path: Path) -> None:
    result = scriptfleet("ps", "--database", f"sqlite:///{tmp_path}/none/x.db", home=tmp_path)

    assert result.returncode == 125
    assert "no such file" in one_line(result)
    assert not (tmp_path / "none").exists()


def test_a_schedule_that_outlives_every_calendar_is_refused(tmp_path: Path) -> None:
    scriptfleet("db", "upgrade", home=tmp_path)

    result = scriptfleet("schedule", "add", "a", "--every", "99999999d", "--shell", "true", home=tmp_path)

    assert result.returncode == 2
    assert "at most 3650d" in one_line(result)


@pytest.mark.parametrize("name", ["two words", "a/b", "../up", "", "x" * 65])
def test_a_schedule_has_a_name_like_all_others(name: str, tmp_path: Path) -> None:
    done = scriptfleet("schedule", "add", name, "--every", "1h", "--shell", "true", home=tmp_path)

    assert done.returncode == 2
    assert f"schedule name: {name!r} is not accepted" in one_line(done)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("submit", "--expires", "0", "--shell", "true"), "above 0"),
        (("submit", "--concurrency-limit", "2", "--shell", "true"), "concurrency_limit: 2"),
        (("submit", "--concurrency-key", "db", "--shell", "true"), "concurrency_limit: none is not accepted"),
        (("run", "--cleanup-old", "36501"), "from 1 to 36,500"),
        (("run", "--retry", "twice", "--shell", "true"), "--retry: 'twice' is not accepted: expected a whole number"),
        (("ps", "--limit", "all"), "--limit: 'all' is not accepted: expected a whole number"),
        (("run", "--memory", "64K", "--shell", "true"), "limits.memory_mb: 0.0625 is not accepted"),
    ],
)
def test_a_value_that_cannot_be_is_told_in_the_users_words(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    done = scriptfleet(*words, home=tmp_path)

    assert done.returncode == 2
    assert told in one_line(done)


def test_beat_without_a_database_ends_with_a_line(tmp_path: Path) -> None:
    done = scriptfleet("beat", "--redis", DEAD, "--database", f"sqlite:///{tmp_path}/none/x.db", home=tmp_path)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("scriptfleet: no usable database at sqlite:///")
    assert "Traceback" not in done.stderr


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")

    result = scriptfleet("submit", str(tmp_path / "pipe.py"), home=tmp_path)

    assert result.returncode == 2
    assert "a regular file" in one_line(result)


def test_a_working_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = scriptfleet("run", "--working-dir", "/no/such", "--shell", "true", home=tmp_path)

    assert result.returncode != 0
    assert "working folder /no/such does not exist" in result.stderr


def test_a_broker_address_that_cannot_be_is_told_by_its_option(tmp_path: Path) -> None:
    assert "--redis" in one_line(scriptfleet("status", "--redis", "http://x", home=tmp_path))


def test_a_home_that_cannot_be_made_is_told_by_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    result = scriptfleet("up", "--once", home=tmp_path / "file")

    assert "SCRIPTFLEET_HOME" in one_line(result)
