"""Exports over REST: the same files as the command line writes, sent while they are written."""

import csv
import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from scriptfleet.domain.role import Role
from scriptfleet.results.rest.seats import EXPORTERS
from scriptfleet.results.web_server import PatientProtocol
from scriptfleet.storage.engine import Database, open_store
from scriptfleet.storage.export import export
from scriptfleet.storage.export_forms import FORMS
from scriptfleet.storage.run_filter import RunFilter
from scriptfleet.storage.tables import runs
from scriptfleet.storage.token_store import TokenStore
from tests import event_factory as make
from tests.eventually import eventually
from tests.results_service import Service, running

#: Rows whose export is larger than what sockets take while nobody reads.
_MANY = 12_000


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    with running(database) as found:
        for at in range(5):
            found.store.apply(make.whole_job(make.shell_spec(f"{'ab'[at % 2]}.sh"), at_ms=make.START_MS + at * 60_000))
        yield found


@pytest.mark.parametrize("form", FORMS)
def test_an_export_is_the_file_that_the_command_line_writes(service: Service, tmp_path: Path, form: str) -> None:
    export(service.database, RunFilter(), None, form, tmp_path / "runs")

    answer = service.client.get(f"/api/v1/export?format={form}")

    assert (answer.status_code, answer.content) == (200, (tmp_path / "runs").read_bytes())
    assert answer.headers["content-type"] == FORMS[form].media_type
    assert answer.headers["content-disposition"] == f'attachment; filename="scriptfleet-runs.{form}"'


@pytest.mark.parametrize("form", FORMS)
def test_an_export_of_no_runs_is_the_empty_file_of_its_format(service: Service, tmp_path: Path, form: str) -> None:
    export(service.database, RunFilter(name="nobody.sh"), None, form, tmp_path / "runs")

    answer = service.client.get(f"/api/v1/export?format={form}&script=nobody.sh")

    assert (answer.status_code, answer.content) == (200, (tmp_path / "runs").read_bytes())
    assert answer.headers["content-type"] == FORMS[form].media_type


def test_filters_and_one_metric_narrow_it(service: Service) -> None:
    one = service.client.get("/api/v1/export?metric=custom.rows&script=b.sh").text
    assert [(row["script_name"], row["value"]) for row in csv.DictReader(io.StringIO(one))] == [("b.sh", "12.0")] * 2
    assert len(service.client.get("/api/v1/export?format=jsonl&outcome=succeeded").text.splitlines()) == 5


@pytest.mark.parametrize("query", ["format=xml", "metric=nonsense", "metric=custom.", "since=yesterday", "colour=red"])
def test_what_cannot_be_is_refused_before_a_file_begins(service: Service, query: str) -> None:
    answer = service.client.get(f"/api/v1/export?{query}")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")


def test_who_took_history_home_is_in_the_audit_log(service: Service) -> None:
    secret = TokenStore(service.database).add("eve", Role.VIEWER, "test")
    admin = TokenStore(service.database).add("ann", Role.ADMIN, "test")
    eventually(lambda: service.client.get("/api/v1/export").status_code == 401)

    taken = service.client.get("/api/v1/export?script=a.sh", headers={"Authorization": f"Bearer {secret}"})

    kept = service.client.get("/api/v1/audit?actor=eve", headers={"Authorization": f"Bearer {admin}"}).json()["entries"]
    assert taken.status_code == 200
    assert [(one["action"], one["target"], one["result"], one["role"]) for one in kept] == [
        ("history.export", "runs", "ok", "viewer")
    ]
    assert kept[0]["detail"] == {"format": "csv", "script": "a.sh"}


def test_a_database_that_is_away_is_told_by_the_status(sqlite_url: str) -> None:
    database = open_store(sqlite_url)
    with running(database, token="s3cret") as service:
        with database.writing() as connection:
            connection.execute(sa.text("ALTER TABLE runs RENAME TO elsewhere"))
        answer = service.client.get("/api/v1/export", headers={"Authorization": "Bearer s3cret"})

        assert (answer.status_code, answer.json()["code"]) == (503, "store_unreachable")
    database.close()


@pytest.fixture
def many(sqlite_url: str) -> Iterator[Service]:
    """A service with a history that fills every buffer of a line."""
    database = open_store(sqlite_url)
    rows = [{"run_id": f"r{at}", "job_id": "j", "error_message": "x" * 900, "began_at": at} for at in range(_MANY)]
    with database.writing() as connection:
        connection.execute(sa.insert(runs), rows)
    with running(database) as service:
        yield service
    database.close()


def test_only_so_many_exports_go_on_at_once_and_who_leaves_makes_room(many: Service) -> None:
    url = f"{many.client.base_url}/api/v1/export?format=jsonl"
    taken = [_asked(many) for _ in range(EXPORTERS)]

    refused = httpx.get(url, timeout=60)
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "busy", "5")
    for line in taken:
        line.close()

    whole = eventually(lambda: (found := httpx.get(url, timeout=60)).status_code == 200 and found)
    assert [json.loads(line)["run_id"] for line in whole.text.splitlines()][-1] == f"r{_MANY - 1}"


def test_a_client_that_reads_nothing_is_hung_up_on_and_holds_no_place(
    many: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PatientProtocol, "read_seconds", 0.5)
    stuck = [_asked(many) for _ in range(EXPORTERS)]

    eventually(lambda: httpx.get(f"{many.client.base_url}/api/v1/export", timeout=60).status_code == 200, within=60)
    for line in stuck:
        line.close()


def _asked(service: Service) -> socket.socket:
    """Ask for an export, wait for its beginning, and read no further."""
    url = service.client.base_url
    line = socket.create_connection((url.host, url.port or 80))
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.sendall(f"GET /api/v1/export?format=jsonl HTTP/1.1\r\nHost: {url.host}\r\n\r\n".encode())
    assert line.recv(16).startswith(b"HTTP/1.1 200")
    return line
