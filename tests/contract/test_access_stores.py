"""Tokens, sessions and the audit log as they are kept; one body for every kind of database."""

import dataclasses
import errno
import gzip
import json
import os
import stat
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from scriptfleet.config import load_settings
from scriptfleet.domain.event import Event, EventType
from scriptfleet.domain.role import Role
from scriptfleet.errors import InvalidValue
from scriptfleet.results.retention import Retention
from scriptfleet.storage import audit_days
from scriptfleet.storage.archive import restore
from scriptfleet.storage.audit_store import AuditEntry, AuditFilter, AuditStore
from scriptfleet.storage.engine import Database
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.retention_policy import PolicyStore, new_policy
from scriptfleet.storage.session_store import SessionStore
from scriptfleet.storage.token_store import TokenStore
from tests import event_factory as make

DAY = 86_400
#: At noon.
TODAY = 20_000.5 * DAY


def everything_in(database: Database) -> str:
    with database.reading() as connection:
        return repr([connection.execute(sa.text(f"SELECT * FROM {name}")).all() for name in ("tokens", "sessions")])


def test_a_token_is_found_by_its_secret_which_the_database_does_not_have(database: Database) -> None:
    store, now = TokenStore(database), time.time()
    secret = store.add("ci", Role.OPERATOR, "ann@host")

    found = store.find(secret, now)

    assert found is not None
    assert (found.name, found.role, found.created_by, found.expires_at) == ("ci", Role.OPERATOR, "ann@host", None)
    assert secret.startswith("sft_")
    assert len(secret) == 4 + 43
    assert secret not in everything_in(database)
    assert secret[4:] not in everything_in(database)
    assert store.find(secret + "x", now) is None
    assert store.find("\udcff\x00é", now) is None


def test_a_token_ends_when_it_expires_or_is_revoked_and_its_name_stays_taken(database: Database) -> None:
    store, now = TokenStore(database), time.time()
    short, long = store.add("short", Role.VIEWER, "a", now + 60), store.add("long", Role.ADMIN, "a")

    assert store.find(short, now + 59) is not None
    assert store.find(short, now + 60) is None
    assert (store.revoke("long"), store.revoke("long"), store.revoke("nobody's")) == (True, False, False)
    assert store.find(long, now) is None
    assert [(one.name, one.revoked_at is None) for one in store.list()] == [("long", False), ("short", True)]
    with pytest.raises(InvalidValue, match="a name that no other token has had"):
        store.add("long", Role.VIEWER, "a")


def test_the_last_use_of_a_token_is_noted_within_a_minute(database: Database) -> None:
    store, now = TokenStore(database), time.time()
    secret = store.add("ci", Role.VIEWER, "a")
    assert store.list()[0].last_used_at is None

    for at in (now, now + 30, now + 61):
        store.find(secret, at)

    assert store.list()[0].last_used_at == now + 61


@pytest.mark.parametrize("name", ["", " ", "local", "environment", "nobody", "a\x00", "a\nb", " a", "x" * 101, "sft_x"])
def test_a_name_that_would_be_mistaken_is_refused(database: Database, name: str) -> None:
    with pytest.raises(InvalidValue, match="token name"):
        TokenStore(database).add(name, Role.VIEWER, "a")


def test_two_that_add_one_name_at_once_make_one_token(database: Database) -> None:
    made: list[str] = []

    def add() -> None:
        try:
            made.append(TokenStore(database).add("ci", Role.VIEWER, "a"))
        except InvalidValue:
            return

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 1
    assert TokenStore(database).find(made[0], time.time()) is not None


def test_a_session_ends_in_time_by_logout_and_with_its_token(database: Database) -> None:
    tokens, sessions, now = TokenStore(database), SessionStore(database), time.time()
    tokens.add("ann", Role.VIEWER, "a")
    first, second = (sessions.begin(now + 60, token_name="ann") for _ in range(2))
    own = sessions.begin(now + 60, environment_token="word")

    assert first != second
    found = sessions.get(first, now + 59)
    assert found is not None
    assert (found.token_name, found.expires_at) == ("ann", now + 60)
    assert sessions.get(first, now + 60) is None
    sessions.end(first)
    assert sessions.get(first, now) is None
    tokens.revoke("ann")
    assert sessions.get(second, now) is None
    assert sessions.get(own, now) is not None
    for secret in (first, second, own, "word"):
        assert secret not in everything_in(database)


def test_sessions_that_expired_are_forgotten_when_one_begins(database: Database) -> None:
    sessions = SessionStore(database)
    old = sessions.begin(time.time() - 1, token_name="ann")
    sessions.begin(time.time() + 60, token_name="ann")

    assert sessions.get(old, 0.0) is None


def entry(at: float, actor: str = "ann", action: str = "job.cancel", target: str = "j1") -> AuditEntry:
    return AuditEntry(at, actor, "admin", "10.0.0.1", action, target, "ok", {"reason": "late"})


def test_the_log_is_given_newest_first_in_pages_and_by_who_what_and_when(database: Database) -> None:
    store = AuditStore(database)
    store.add(*(entry(float(at), "ann" if at % 2 else "bob", target=f"j{at}") for at in range(6)))

    first = store.page(AuditFilter(), PageRequest(4))
    second = store.page(AuditFilter(), PageRequest(4, first.next_cursor))

    assert [one.at for one in (*first.items, *second.items)] == [5, 4, 3, 2, 1, 0]
    assert second.next_cursor is None
    assert (first.items[0].detail, first.items[0].address) == ({"reason": "late"}, "10.0.0.1")
    assert [one.at for one in store.page(AuditFilter(actor="ann"), PageRequest()).items] == [5, 3, 1]
    assert [one.at for one in store.page(AuditFilter(since=2, until=4), PageRequest()).items] == [3, 2]
    assert [one.at for one in store.page(AuditFilter(target="j2", action="job.cancel"), PageRequest()).items] == [2]


def test_hostile_values_are_kept_as_text_and_cut(database: Database) -> None:
    hostile = AuditEntry(
        1.0, "nul\x00", None, "\ud800", "a" * 5000, "<b>\x1b[2J", "ok", {"x": float("nan"), "\x00": "\x00"}
    )
    AuditStore(database).add(hostile)

    (kept,) = AuditStore(database).page(AuditFilter(), PageRequest()).items

    assert (len(kept.action), kept.target) == (1000, "<b>\x1b[2J")
    assert "\x00" not in kept.actor
    assert kept.detail is not None
    assert None in kept.detail.values()


@pytest.fixture
def audited(database: Database, monkeypatch: pytest.MonkeyPatch) -> AuditStore:
    """Keep an entry of each tenth day of 2,500, the newest of today, in a database that gives them up by threes."""
    monkeypatch.setattr(audit_days, "_AT_ONCE", 3)
    store = AuditStore(database)
    store.add(*(entry(TODAY - age * DAY, target=str(age)) for age in range(0, 2500, 10)))
    return store


def ages(store: AuditStore) -> list[int]:
    return [int(one.target) for one in store.page(AuditFilter(), PageRequest(500)).items]


def test_entries_go_after_their_days_and_at_midnight(database: Database, audited: AuditStore) -> None:
    service = Retention(database, audit_days=400)

    assert audit_days.count_before(database, audit_days.oldest_kept(400, TODAY)) == 209
    assert service.expire_audit(TODAY) == 209
    assert ages(audited) == list(range(0, 410, 10))
    assert service.expire_audit(TODAY + 9 * 3600) == 0
    assert service.expire_audit(TODAY + 12 * 3600) == 1
    assert max(ages(audited)) == 390


def test_no_days_keep_entries_for_ever(database: Database, audited: AuditStore) -> None:
    assert Retention(database, audit_days=0).expire_audit(TODAY) == 0
    assert Retention(database, audit_days=36_500).expire_audit(TODAY) == 0
    assert len(ages(audited)) == 250


def test_a_preset_of_a_policy_keeps_entries_as_long_as_itself(database: Database, audited: AuditStore) -> None:
    policies, folder = PolicyStore(database), "/archives"
    for name, compliance in {"plain": None, "privacy": "GDPR", "health": "HIPAA", "audits": "SOC2"}.items():
        policies.put(new_policy(database, name, 3000, folder, compliance, TODAY))
    service = Retention(database, audit_days=30)

    service.expire_audit(TODAY)
    assert max(ages(audited)) == 2190
    policies.remove("health")
    service.expire_audit(TODAY)
    assert max(ages(audited)) == 360
    policies.remove("audits")
    service.expire_audit(TODAY)
    assert max(ages(audited)) == 30


def test_what_goes_is_archived_first_readable_and_restores(
    database: Database, audited: AuditStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    before = audited.page(AuditFilter(), PageRequest(500)).items
    folder = tmp_path / "archives"

    assert Retention(database, 400, folder).expire_audit(TODAY) == 209
    assert Retention(database, 400, folder).expire_audit(TODAY) == 0
    (path,) = folder.iterdir()
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"archive={path}" in caplog.text
    assert sorted(int(line["row"]["target"]) for line in lines if "row" in line) == list(range(410, 2500, 10))
    assert restore(database, path) == {"audit": 209}
    assert restore(database, path) == {"audit": 209}
    assert audited.page(AuditFilter(), PageRequest(500)).items == before


def test_entries_that_cannot_be_archived_stay_and_the_services_log_says_so(
    database: Database, audited: AuditStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")

    assert Retention(database, 400, tmp_path / "file").expire_audit(TODAY) == 0
    assert len(ages(audited)) == 250
    assert "audit_not_archived" in caplog.text


def test_a_full_disk_is_not_filled_with_archives_that_were_begun(
    database: Database, audited: AuditStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_room)

    assert Retention(database, 400, tmp_path / "archives").expire_audit(TODAY) == 0
    assert len(ages(audited)) == 250
    assert list((tmp_path / "archives").iterdir()) == []


def test_services_that_end_entries_at_once_end_each_once(database: Database, audited: AuditStore) -> None:
    gone: list[int] = []
    services = [Retention(database, audit_days=400) for _ in range(3)]
    threads = [threading.Thread(target=lambda one=one: gone.append(one.expire_audit(TODAY))) for one in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(gone) + services[0].expire_audit(TODAY) == 209
    assert len(ages(audited)) == 41


def test_failed_logins_count_on_where_old_entries_go(database: Database, audited: AuditStore) -> None:
    failed = dataclasses.replace(entry(TODAY - 30, action="login"), result="401 no such token")
    audited.add(failed, dataclasses.replace(failed, at=TODAY - 500 * DAY))

    Retention(database, audit_days=1).expire_audit(TODAY)

    assert audited.refused_since("login", TODAY - 60, 10) == [(TODAY - 30, "10.0.0.1")]
    assert audited.refused_since("login", 0, 10) == [(TODAY - 30, "10.0.0.1")]


def test_a_service_that_ends_leaves_the_rest_for_the_next(database: Database, audited: AuditStore) -> None:
    stops = iter([False, False, True])

    assert audit_days.forget_before(database, TODAY - 400 * DAY, lambda: next(stops)) == 6
    assert audit_days.forget_before(database, TODAY - 400 * DAY) == 203


def test_the_days_are_a_whole_number_and_zero_is_one() -> None:
    given = {text: load_settings({"SCRIPTFLEET_AUDIT_DAYS": text}).audit_days for text in ("", "0", "2190")}

    assert given == {"": 400, "0": 0, "2190": 2190}
    for bad in ("-1", "1.5", "forever", "36501"):
        with pytest.raises(InvalidValue, match="SCRIPTFLEET_AUDIT_DAYS"):
            load_settings({"SCRIPTFLEET_AUDIT_DAYS": bad})


def test_what_a_command_changed_is_kept_once_and_cut_where_it_is_endless(database: Database) -> None:
    said = {"id": "1" * 32, "actor": "cli:ann", "address": "host-1", "action": "queue.pause", "target": "q" * 5000}
    told = Event("1-0", EventType.AUDITED, "", 0, 1_790_000_000_000, said | {"detail": {"found": 2}, "sig": ""})
    store = IngestStore(database)

    store.apply([told, *make.whole_job()])
    store.apply([told])

    (entry,) = AuditStore(database).page(AuditFilter(), PageRequest(10)).items
    assert (entry.at, entry.actor, entry.role, entry.address) == (1_790_000_000, "cli:ann", None, "host-1")
    assert (entry.action, len(entry.target), entry.result, entry.detail) == ("queue.pause", 1000, "ok", {"found": 2})
    for name, bad in {"actor": "ann", "id": None, "address": 5}.items():
        with pytest.raises(InvalidValue):
            store.apply([dataclasses.replace(told, data=said | {name: bad})])
