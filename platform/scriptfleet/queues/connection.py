"""The connection to the broker: made from an address, with its faults told in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from scriptfleet.config import without_password
from scriptfleet.errors import BrokerFull, BrokerUnreachable, InvalidValue
from scriptfleet.queues.sentinel import SentinelAddress, is_sentinel, parse_sentinel_url

CONNECT_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 10.0
_LEAST_VERSION = (7, 0)
#: What the server says of a script that does what its user may not: before 7.2, and since.
_NO_RIGHT: Final = ("The user executing the script can't", "ACL failure in script")


def connect(url: str, *, answer_seconds: float = ANSWER_SECONDS) -> redis.Redis:
    """Make a client for ``url``; nothing is sent yet.

    Commands are never repeated by the client: only the scripts that are safe to repeat are, by their callers.
    Behind Sentinel each new connection goes to the server that is the primary then.
    """
    options = {"health_check_interval": 30, **_network_options(url, answer_seconds)}
    if is_sentinel(url):
        return _primary_of(parse_sentinel_url(url), options)
    try:
        return redis.Redis.from_url(url, **options)
    except ValueError as fault:
        shown = without_password(url)
        # The library's own words may quote a part of a password that was not escaped.
        expected = "redis://HOST:PORT/DB or unix:///PATH (in a password, '/' is %2F, '#' %23, '?' %3F, '@' %40)"
        raise InvalidValue("SCRIPTFLEET_REDIS_URL", shown, expected) from fault


def with_patience(client: redis.Redis, answer_seconds: float) -> redis.Redis:
    """Make a client of the same server that waits so long for an answer; close it after use."""
    pool = client.connection_pool
    options = {**pool.connection_kwargs, "socket_timeout": answer_seconds}
    return redis.Redis.from_pool(redis.ConnectionPool(pool.connection_class, **options))


def _primary_of(address: SentinelAddress, options: dict[str, Any]) -> redis.Redis:
    asked_by = {**_network_options("", CONNECT_SECONDS), **address.sentinel_options, **address.tls}
    if address.is_encrypted:
        asked_by, options = {**asked_by, "ssl": True}, {**options, "ssl": True}
    sentinel = Sentinel(address.sentinels, sentinel_kwargs=asked_by, **options, **address.options)
    client: redis.Redis = sentinel.master_for(address.master)
    return client


def _network_options(url: str, answer_seconds: float) -> dict[str, Any]:
    options = {"socket_timeout": answer_seconds, "retry": Retry(NoBackoff(), 0)}
    if url.startswith("unix:"):
        return options
    return {**options, "socket_connect_timeout": CONNECT_SECONDS, "socket_keepalive": True}


@contextmanager
def told_plainly(url: str) -> Iterator[None]:
    """Turn the client library's faults into BrokerUnreachable with a plain reason."""
    try:
        yield
    except redis.AuthenticationError as fault:
        raise BrokerUnreachable(without_password(url), f"login refused ({fault})") from fault
    except (redis.ConnectionError, redis.TimeoutError) as fault:
        raise BrokerUnreachable(without_password(url), reason_of(fault)) from fault
    except redis.exceptions.OutOfMemoryError as fault:
        raise BrokerFull(without_password(url), 100) from fault
    except redis.ResponseError as fault:
        raise BrokerUnreachable(without_password(url), answer_of(fault)) from fault


def answer_of(fault: redis.ResponseError) -> str:
    """Give what the server answered, and what to do about it where its user lacks a right."""
    if isinstance(fault, redis.exceptions.NoPermissionError) or any(word in str(fault) for word in _NO_RIGHT):
        return f"its user may not do all that is needed ({fault}): docs/broker.md has the rights"
    return f"it answered: {fault}"


def reason_of(fault: Exception) -> str:
    """Give the innermost cause in a few words, without the client library's prefixes."""
    text = (str(fault).strip() or type(fault).__name__).rstrip(".")
    before, connecting, after = text.partition(" connecting to ")
    return after.rpartition(". ")[2] if connecting and ". " in after else before


def check_server(client: redis.Redis, url: str) -> str:
    """Give the server's version; refuse one that is too old or cannot be reached."""
    with told_plainly(url):
        info = client.info("server")
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < _LEAST_VERSION:
        raise BrokerUnreachable(without_password(url), f"it is version {version}; Redis 7.0 or Valkey is needed")
    return version
