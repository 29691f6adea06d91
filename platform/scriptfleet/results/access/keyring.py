"""Tells who comes with a secret: a token of the store, the environment's, or the session of a browser."""

import hmac
import logging
import threading
import time
from dataclasses import dataclass
from typing import Final

from scriptfleet.domain.role import Actor, Role
from scriptfleet.errors import StoreUnreachable
from scriptfleet.storage.engine import Database
from scriptfleet.storage.session_store import SessionStore, proof
from scriptfleet.storage.token_store import PREFIX, TokenStore

_log = logging.getLogger(__name__)

LOCAL: Final = Actor("local", Role.ADMIN)
ENVIRONMENT: Final = Actor("environment", Role.ADMIN)

#: A token that is made while the service runs guards it after so many seconds.
_LOOKED_EVERY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that has just begun."""

    actor: Actor
    secret: str
    #: Seconds until it ends.
    seconds: float


class Keyring:
    """Knows the tokens. Each method raises StoreUnreachable unless it says otherwise."""

    def __init__(self, database: Database, environment_token: str, session_seconds: float) -> None:
        self._tokens, self._sessions = TokenStore(database), SessionStore(database)
        self._environment_token, self._session_seconds = environment_token, session_seconds
        self._lock, self._is_guarded, self._looked_at = (
            threading.Lock(),
            bool(environment_token),
            -_LOOKED_EVERY_SECONDS,
        )

    def is_guarded(self) -> bool:
        """Tell whether a token is needed: the environment has one, or the store has ever had one.

        One that has ended still counts: else the last one's end would open what it guarded. While the database is
        away the last answer stands.
        """
        with self._lock:
            now = time.monotonic()
            if not self._is_guarded and now - self._looked_at >= _LOOKED_EVERY_SECONDS:
                self._look(now)
            return self._is_guarded

    def by_token(self, secret: str) -> Actor | None:
        """Give whose token it is; None where it is nobody's."""
        if self._is_environments(secret):
            return ENVIRONMENT
        # Looked up by its hash: how long that takes tells nothing of any secret.
        found = self._tokens.find(secret, time.time()) if secret.startswith(PREFIX) else None
        return None if found is None else Actor(found.name, found.role)

    def by_session(self, secret: str) -> Actor | None:
        """Give whose session it is; None where there is none, or its token is no longer good."""
        now = time.time()
        session = self._sessions.get(secret, now)
        if session is None:
            return None
        if session.token_name is None:
            expected = proof(secret, self._environment_token)
            is_same = bool(self._environment_token) and hmac.compare_digest(session.proof or "", expected)
            return ENVIRONMENT if is_same else None
        token = self._tokens.named(session.token_name, now)
        return None if token is None else Actor(token.name, token.role)

    def begin_session(self, token: str) -> NewSession | None:
        """Begin a session with a token; None where the token is nobody's."""
        now = time.time()
        if self._is_environments(token):
            secret = self._sessions.begin(now + self._session_seconds, environment_token=self._environment_token)
            return NewSession(ENVIRONMENT, secret, self._session_seconds)
        found = self._tokens.find(token, now) if token.startswith(PREFIX) else None
        if found is None:
            return None
        ends_at = min(now + self._session_seconds, found.expires_at or now + self._session_seconds)
        secret = self._sessions.begin(ends_at, token_name=found.name)
        return NewSession(Actor(found.name, found.role), secret, ends_at - now)

    def end_session(self, secret: str) -> None:
        """Forget a session."""
        self._sessions.end(secret)

    def _look(self, now: float) -> None:
        try:
            self._is_guarded = not self._tokens.is_empty()
        except StoreUnreachable as fault:
            _log.warning("tokens_not_looked_for reason=%s", fault)
        self._looked_at = now

    def _is_environments(self, secret: str) -> bool:
        own, given = self._environment_token.encode(), secret.encode("utf-8", "surrogateescape")
        return bool(own) and hmac.compare_digest(given, own)
