"""Sessions of browsers, by the hash of what their cookie says; one lasts no longer than the token it was begun with."""

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass

import sqlalchemy as sa

from scriptfleet.storage.engine import Database
from scriptfleet.storage.tables import sessions
from scriptfleet.storage.token_store import hash_of

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """A session that has not expired."""

    #: None for the environment's token.
    token_name: str | None
    #: What the environment's token must give proof() of.
    proof: str | None
    expires_at: float


def proof(secret: str, token: str) -> str:
    """Give by what a token of the environment is known again.

    Keyed by the session's own secret, which the database does not have: such a token may be a word that people think
    of, and a plain hash of it could be guessed by whoever reads the database.
    """
    return hmac.new(secret.encode("utf-8", "surrogateescape"), token.encode(), hashlib.sha256).hexdigest()


class SessionStore:
    """Keeps sessions. Each method raises StoreUnreachable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, expires_at: float, *, token_name: str | None = None, environment_token: str = "") -> str:
        """Begin a session and give its secret, for the cookie. Sessions that have expired are forgotten meanwhile."""
        secret, now = secrets.token_urlsafe(_SECRET_BYTES), time.time()
        row = {
            "secret_hash": hash_of(secret),
            "token_name": token_name,
            "proof": None if token_name else proof(secret, environment_token),
            "created_at": now,
            "expires_at": expires_at,
        }
        with self._database.writing() as connection:
            connection.execute(sa.delete(sessions).where(sessions.c.expires_at <= now))
            connection.execute(sa.insert(sessions), row)
        return secret

    def get(self, secret: str, now: float) -> Session | None:
        """Give the session of a secret; None where there is none or it has expired."""
        is_it = (sessions.c.secret_hash == hash_of(secret)) & (sessions.c.expires_at > now)
        wanted = sa.select(sessions.c.token_name, sessions.c.proof, sessions.c.expires_at).where(is_it)
        with self._database.reading() as connection:
            row = connection.execute(wanted).one_or_none()
        return None if row is None else Session(*row)

    def end(self, secret: str) -> None:
        """Forget a session."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(sessions).where(sessions.c.secret_hash == hash_of(secret)))
