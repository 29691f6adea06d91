"""Tokens, sessions and the audit log as they are kept; one body for every kind of database."""

import dataclasses
import threading
import time

import pytest
import sqlalchemy as sa

from scriptfleet.domain.event import Event, EventType
from scriptfleet.domain.role import Role
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.audit_store import AuditEntry, AuditFilter, AuditStore
from scriptfleet.storage.engine import Database
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.paging import PageRequest
from scriptfleet.storage.session_store import SessionStore
from scriptfleet.storage.token_store import TokenStore
from tests import event_factory as make


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
