"""One exchange over HTTP: a request, the connection that it is allowed to take, and where its answer points."""

import base64
import http.client
import json
import socket
import ssl
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote, urlencode, urljoin, urlsplit

from scriptfleet.domain.http_allow import SETTING, AllowList
from scriptfleet.domain.http_request import check_url, without_query
from scriptfleet.errors import ScriptfleetError

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_SEE_OTHER: Final = 303
_SAME_METHOD: Final = frozenset({307, 308})
#: Characters that have a meaning in an address, and %, since what is quoted already stays so.
_KEPT: Final = "/:;?#[]@!$&'()*+,=~%-._"
_AGENT: Final = "scriptfleet"


class NotAllowed(ScriptfleetError):
    """The address is one that this worker's HTTP jobs may not go to."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(f"HTTP jobs may not go to {host} ({address}): list it in {SETTING} of this worker")


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None = None

    @property
    def shown(self) -> str:
        """The address as it may be shown."""
        return without_query(self.url)


class Exchange:
    """Sends a request; as a context gives the answer, whose body is yet to be read, and closes the connection."""

    def __init__(self, request: Request, allow: AllowList) -> None:
        parts = urlsplit(request.url)
        host, port = _ascii_host(parts.hostname or ""), parts.port
        self._request = request
        self._connection: http.client.HTTPConnection = (
            _CheckedTls(host, port or 443, allow) if parts.scheme == "https" else _Checked(host, port or 80, allow)
        )

    def __enter__(self) -> http.client.HTTPResponse:
        request = self._request
        self._connection.request(request.method, _target(request.url), request.body, request.headers)
        return self._connection.getresponse()

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def first_request(config: dict[str, Any]) -> Request:
    """Make the request of a config whose secrets are filled in."""
    headers = {"User-Agent": _AGENT, "Accept": "*/*"}
    body = config.get("body")
    if isinstance(body, dict | list):
        headers["Content-Type"] = "application/json"
        body = json.dumps(body)
    said = config.get("headers") or {}
    headers = {name: value for name, value in headers.items() if name.lower() not in {one.lower() for one in said}}
    method, content = config.get("method", "GET").upper(), None if body is None else body.encode()
    return _with_auth(Request(method, config["url"], headers | said, content), config.get("auth") or {})


def redirected(request: Request, answer: http.client.HTTPResponse) -> Request | None:
    """Give the request that an answer points to, or None when it is the last one. Raises InvalidValue."""
    place = answer.headers.get("Location")
    if answer.status not in _REDIRECTS or place is None:
        return None
    url = check_url(quote(urljoin(request.url, place), safe=_KEPT))
    followed = replace(request, url=url)
    if answer.status not in _SAME_METHOD and (request.method == "POST" or answer.status == _SEE_OTHER):
        method = request.method if request.method == "HEAD" else "GET"
        followed = replace(followed, method=method, body=None, headers=_without(request, "content-"))
    if _origin(url) != _origin(request.url):
        followed = replace(followed, headers={n: v for n, v in followed.headers.items() if n.lower() in _HARMLESS})
    return followed


#: What another host is told after a redirect; what else the job sends was meant for the first one.
_HARMLESS: Final = frozenset({"user-agent", "accept", "accept-language", "content-type"})


class _Checked(http.client.HTTPConnection):
    """Connects to an address only when it is allowed: the very one that was checked, not the name again."""

    def __init__(self, host: str, port: int, allow: AllowList) -> None:
        super().__init__(host, port)
        self._allow = allow

    def connect(self) -> None:
        self.sock = _allowed_socket(self.host, self.port, self._allow)


class _CheckedTls(http.client.HTTPSConnection):
    """The same, with TLS on top; the certificate is checked against the name."""

    def __init__(self, host: str, port: int, allow: AllowList) -> None:
        self._allow, self._tls = allow, ssl.create_default_context()
        super().__init__(host, port, context=self._tls)

    def connect(self) -> None:
        plain = _allowed_socket(self.host, self.port, self._allow)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)


def _allowed_socket(host: str, port: int, allow: AllowList) -> socket.socket:
    """Connect to the first address of a name that answers. Raises NotAllowed, OSError."""
    trouble: OSError | None = None
    for family, kind, number, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not allow.allows(host, str(address[0])):
            raise NotAllowed(host, str(address[0]))
        made = socket.socket(family, kind, number)
        try:
            made.connect(address)
        except TimeoutError:
            made.close()
            raise
        except OSError as fault:
            made.close()
            trouble = fault
        else:
            return made
    raise trouble or OSError(f"{host} has no address")


def _with_auth(request: Request, auth: dict[str, str]) -> Request:
    form = auth.get("type")
    if form == "basic":
        pair = base64.b64encode(f"{auth['username']}:{auth['password']}".encode()).decode()
        return replace(request, headers=request.headers | {"Authorization": f"Basic {pair}"})
    if form == "bearer":
        return replace(request, headers=request.headers | {"Authorization": f"Bearer {auth['token']}"})
    if form == "api_key" and auth.get("in") == "query":
        parts = urlsplit(request.url)
        query = "&".join(part for part in (parts.query, urlencode({auth["name"]: auth["value"]})) if part)
        return replace(request, url=parts._replace(query=query).geturl())
    if form == "api_key":
        return replace(request, headers=request.headers | {auth["name"]: auth["value"]})
    return request


def _without(request: Request, prefix: str) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if not name.lower().startswith(prefix)}


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _target(url: str) -> str:
    parts = urlsplit(url)
    target = quote(parts.path or "/", safe=_KEPT)
    return f"{target}?{quote(parts.query, safe=_KEPT)}" if parts.query else target


def _ascii_host(host: str) -> str:
    return host if host.isascii() else host.encode("idna").decode()
