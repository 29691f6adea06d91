"""Addresses of brokers behind Sentinel: who is asked for the primary, by which name, and how all are spoken to."""

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from redis.connection import parse_url

from scriptfleet.config import without_password
from scriptfleet.errors import InvalidValue

SCHEME: Final = "sentinel"
EXPECTED: Final = "sentinel://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…]/DB?master=NAME"
_DEFAULT_PORT: Final = 26379
_OWN: Final = ("master", "sentinel_username", "sentinel_password", "tls")


@dataclass(frozen=True)
class SentinelAddress:
    """What an address says."""

    #: Host and port of each Sentinel.
    sentinels: tuple[tuple[str, int], ...]
    #: What the Sentinels call the group of servers.
    master: str
    #: For the servers: database, login and other options of the client library.
    options: dict[str, Any] = field(default_factory=dict)
    #: For the Sentinels: their own login.
    sentinel_options: dict[str, Any] = field(default_factory=dict)
    is_encrypted: bool = False

    @property
    def tls(self) -> dict[str, Any]:
        """Options of encryption, the same for servers and Sentinels."""
        return {name: value for name, value in self.options.items() if name.startswith("ssl_")}


def is_sentinel(url: str) -> bool:
    """Tell whether the address is one of Sentinels."""
    return url.startswith(f"{SCHEME}:")


def parse_sentinel_url(url: str) -> SentinelAddress:
    """Read an address. Raises InvalidValue."""
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    said = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    try:
        sentinels = tuple(_host_and_port(host) for host in hosts.split(","))
        # The library reads the rest as it reads that of a single server's address.
        options = parse_url(f"redis://{login and login + '@'}any{parts.path}?{_others(parts.query)}")
    except ValueError as fault:
        raise _not_an_address(url) from fault
    if not said.get("master") or said.get("tls", "0") not in {"0", "1"}:
        raise _not_an_address(url)
    own_login = {name.removeprefix("sentinel_"): said[name] for name in _OWN[1:3] if name in said}
    options = {name: value for name, value in options.items() if name not in {"host", "port"}}
    return SentinelAddress(sentinels, said["master"], options, own_login, said.get("tls") == "1")


def _not_an_address(url: str) -> InvalidValue:
    return InvalidValue("SCRIPTFLEET_REDIS_URL", without_password(url), f"{EXPECTED} (with &tls=1 for encryption)")


def _others(query: str) -> str:
    return "&".join(part for part in query.split("&") if part.partition("=")[0] not in _OWN)


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":") if ":" in text and not text.endswith("]") else (text, "", "")
    if not host:
        raise ValueError(text)
    return unquote(host).strip("[]"), int(port or _DEFAULT_PORT)
