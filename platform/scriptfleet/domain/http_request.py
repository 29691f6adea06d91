"""What a job of kind http_request may say in its config. Secrets are named in it, never written."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from scriptfleet.domain import check
from scriptfleet.errors import InvalidValue

_LONGEST_URL: Final = 8_192
_LONGEST_VALUE: Final = 8_192
_LONGEST_BODY: Final = 1024 * 1024
_LONGEST_TIMEOUT_SECONDS: Final = 86_400.0
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105
_UNFIT = r"[\x00-\x1f\x7f]"

#: What each form of ``auth`` holds beside its ``type``, and which of them may be left out.
_AUTH: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    "basic": (frozenset({"username", "password"}), frozenset()),
    "bearer": (frozenset({"token"}), frozenset()),
    "api_key": (frozenset({"name", "value", "in"}), frozenset({"in"})),
}


def check_request(config: dict[str, Any]) -> None:
    """Refuse a request that cannot be sent. Raises InvalidValue."""
    check_url(config.get("url"))
    method = config.get("method", "GET")
    if not isinstance(method, str) or not re.fullmatch(_TOKEN, method):
        raise InvalidValue("config.method", method, "an HTTP method, such as GET")
    for name, value in check.mapping("config.headers", config.get("headers", {})).items():
        if not re.fullmatch(_TOKEN, name):
            raise InvalidValue("config.headers", name, "names of HTTP headers")
        _check_value(f"config.headers[{name}]", value)
    _check_body(config.get("body"))
    _check_auth(config.get("auth"))
    check.number("config.timeout_seconds", config.get("timeout_seconds", 1), most=_LONGEST_TIMEOUT_SECONDS, above=True)
    expect = config.get("expect", [200])
    if not isinstance(expect, list) or not expect:
        raise InvalidValue("config.expect", expect, "a list of HTTP status codes")
    for code in expect:
        check.integer("config.expect", code, 100, 599)


def check_url(value: object) -> str:
    """Accept an absolute http or https address without a password in it."""
    url = check.text("config.url", value, _LONGEST_URL)
    try:
        parts = urlsplit(url)
        is_fit = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_fit = False
    if not is_fit or re.search(_UNFIT, url) or " " in url:
        raise InvalidValue("config.url", url, "an http:// or https:// address")
    if "@" in urlsplit(url).netloc:
        raise InvalidValue("config.url", without_query(url), "an address without user and password: use auth")
    return url


def without_query(url: str) -> str:
    """Give an address as it may be shown: a key may be in what follows the path, or before the host."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def host_of(url: str) -> str:
    """Give the host that a checked address names."""
    return urlsplit(url).hostname or ""


def secret_names(config: dict[str, Any]) -> tuple[str, ...]:
    """Give the names of the secrets that a checked config refers to, each once."""
    auth = config.get("auth") or {}
    values = [*(config.get("headers") or {}).values(), *(auth.values() if isinstance(auth, dict) else ())]
    return tuple(dict.fromkeys(value["secret"] for value in values if isinstance(value, dict) and "secret" in value))


def filled(config: dict[str, Any], secret: Callable[[str], str]) -> dict[str, Any]:
    """Give the config with each ``{"secret": NAME}`` replaced by what ``secret`` gives for the name."""
    whole = dict(config)
    for part in ("headers", "auth"):
        if config.get(part):
            whole[part] = dict(_filled_items(config[part], secret))
    return whole


def _filled_items(given: dict[str, Any], secret: Callable[[str], str]) -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        yield name, secret(value["secret"]) if isinstance(value, dict) else value


def _check_value(field: str, value: object, is_encoded: bool = False) -> None:
    """Accept what fits into a header; ``is_encoded`` says that it is put into plain letters before."""
    if isinstance(value, dict):
        if value.keys() != {"secret"}:
            raise InvalidValue(field, sorted(value), 'a text, or {"secret": "NAME"}')
        check.environment(field, {str(value["secret"]): ""})
        return
    is_fit = isinstance(value, str) and len(value) <= _LONGEST_VALUE and not re.search(_UNFIT, value)
    if not is_fit or not (is_encoded or str(value).isascii()):
        # Not shown: it may be a password that somebody wrote down after all.
        raise InvalidValue(field, "***", f"ASCII text on one line, at most {_LONGEST_VALUE} characters")


def _check_body(body: object) -> None:
    if isinstance(body, str):
        check.text("config.body", body, _LONGEST_BODY, may_be_empty=True)
    elif body is not None and not isinstance(body, dict | list):
        raise InvalidValue("config.body", body, "a text, or JSON data as an object or a list")


def _check_auth(auth: object) -> None:
    if auth is None:
        return
    given = check.mapping("config.auth", auth)
    form = given.pop("type", None)
    if form not in _AUTH:
        raise InvalidValue("config.auth.type", form, f"one of {', '.join(_AUTH)}")
    names, optional = _AUTH[form]
    if given.keys() - names or (names - optional) - given.keys():
        raise InvalidValue("config.auth", sorted(given), f"{', '.join(sorted(names))} for {form}")
    if given.get("in", "header") not in {"header", "query"}:
        raise InvalidValue("config.auth.in", given["in"], "header or query")
    if form == "api_key" and not re.fullmatch(_TOKEN, check.text("config.auth.name", given["name"], 255)):
        raise InvalidValue("config.auth.name", given["name"], "the name of a header or of a query field")
    for name in given.keys() - {"in", "name"}:
        _check_value(f"config.auth.{name}", given[name], form == "basic" or given.get("in") == "query")
