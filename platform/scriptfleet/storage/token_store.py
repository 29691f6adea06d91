"""Tokens as they are kept: by the hash of their secret, so that whoever reads the database cannot ask with them.

A secret is 256 random bits. One round of SHA-256 is enough for it, without salt: what makes slow hashes needed is that
people's passwords can be guessed, and 2^256 cannot be tried however fast each try is. It is looked up by its hash.
"""

import hashlib
import secrets
import time
from dataclasses import dataclass

import sqlalchemy as sa

from scriptfleet.domain import check
from scriptfleet.domain.event import SHELL
from scriptfleet.domain.role import Role
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.engine import Database
from scriptfleet.storage.tables import sessions, tokens

#: What each token begins with, so that people and scanners of leaked secrets know one when they see it.
PREFIX = "sft_"
_SECRET_BYTES = 32
_LONGEST_NAME = 100
#: What the audit log and the pages call those who have no token of the store.
RESERVED_NAMES = frozenset({"local", "environment", "nobody"})
_USE_NOTED_EVERY_SECONDS = 60.0

_COLUMNS = ("name", "role", "created_at", "created_by", "expires_at", "revoked_at", "last_used_at")


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token; never its secret. Moments are seconds since the epoch."""

    name: str
    role: Role
    created_at: float
    created_by: str
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None

    def is_good(self, now: float) -> bool:
        """Tell whether it lets anybody in at that moment."""
        return self.state(now) == "good"

    def state(self, now: float) -> str:
        """Give good, expired or revoked, as it is at that moment."""
        if self.revoked_at is not None:
            return "revoked"
        return "good" if self.expires_at is None or now < self.expires_at else "expired"


def hash_of(secret: str) -> str:
    """Give what a secret is kept as."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def has_tokens(database: Database) -> bool:
    """Tell whether there was ever a token, also in a database of an older schema. Raises StoreUnreachable."""
    with database.reading() as connection:
        is_there = sa.inspect(connection).has_table(tokens.name)
    return is_there and not TokenStore(database).is_empty()


class TokenStore:
    """Keeps tokens. Each method raises StoreUnreachable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, role: Role, created_by: str, expires_at: float | None = None) -> str:
        """Make a token and give its secret, which nobody can read again. Raises InvalidValue for a name that is taken.

        A name stands for one token for ever, since the audit log speaks of it: that of a revoked one is taken too.
        """
        secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        row = {
            "name": _checked_name(name),
            "secret_hash": hash_of(secret),
            "role": str(role),
            "created_at": time.time(),
            "created_by": created_by,
            "expires_at": expires_at,
        }
        with self._database.writing() as connection:
            insert = self._database.insert_into(tokens).on_conflict_do_nothing()
            if connection.execute(insert, row).rowcount == 0:
                raise InvalidValue("token name", name, "a name that no other token has had")
        return secret

    def list(self) -> list[Token]:
        """Give all tokens by name, those that are no longer good too."""
        with self._database.reading() as connection:
            rows = connection.execute(_select().order_by(tokens.c.name)).all()
        return [_token(row) for row in rows]

    def is_empty(self) -> bool:
        """Tell whether there was never a token."""
        with self._database.reading() as connection:
            return connection.execute(sa.select(tokens.c.name).limit(1)).first() is None

    def find(self, secret: str, now: float) -> Token | None:
        """Give the token of a secret, and note its use; None where there is none, or none that is good any more."""
        with self._database.reading() as connection:
            row = connection.execute(_select().where(tokens.c.secret_hash == hash_of(secret))).one_or_none()
        return None if row is None else self._used(_token(row), now)

    def named(self, name: str, now: float) -> Token | None:
        """Give the token of a name, and note its use; None as find() does."""
        with self._database.reading() as connection:
            row = connection.execute(_select().where(tokens.c.name == name)).one_or_none()
        return None if row is None else self._used(_token(row), now)

    def revoke(self, name: str) -> bool:
        """End a token and all sessions that were begun with it; tell whether it was good until now."""
        now = time.time()
        is_it = (tokens.c.name == check.text("token name", name, _LONGEST_NAME)) & tokens.c.revoked_at.is_(None)
        with self._database.writing() as connection:
            connection.execute(sa.delete(sessions).where(sessions.c.token_name == name))
            return connection.execute(sa.update(tokens).where(is_it).values(revoked_at=now)).rowcount > 0

    def _used(self, token: Token, now: float) -> Token | None:
        if not token.is_good(now):
            return None
        if token.last_used_at is None or now - token.last_used_at >= _USE_NOTED_EVERY_SECONDS:
            with self._database.writing() as connection:
                connection.execute(sa.update(tokens).where(tokens.c.name == token.name).values(last_used_at=now))
        return token


def _select() -> sa.Select[tuple[object, ...]]:
    return sa.select(*(tokens.c[name] for name in _COLUMNS))


def _token(row: sa.Row[tuple[object, ...]]) -> Token:
    values = dict(row._mapping)
    return Token(**{**values, "role": Role(values["role"])})


def _checked_name(name: str) -> str:
    check.text("token name", name, _LONGEST_NAME)
    is_plain = name.isprintable() and name == name.strip() and not name.startswith((PREFIX, SHELL))
    if name in RESERVED_NAMES or not is_plain:
        raise InvalidValue("token name", name, "a name such as ci or grafana, printable, without spaces at its ends")
    return name
