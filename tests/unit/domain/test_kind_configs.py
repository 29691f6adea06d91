"""What jobs of the built-in kinds may say, and what is refused by name."""

import pytest

from scriptfleet.domain import http_request, kinds
from scriptfleet.domain.job import JobSpec
from scriptfleet.errors import InvalidValue

URL = "https://example.org/a?key=k3y"


@pytest.mark.parametrize(
    "config",
    [
        {"url": URL},
        {"url": "http://[::1]:8080/", "method": "DELETE", "headers": {"X-A": "1", "X-B": {"secret": "TOKEN"}}},
        {"url": URL, "body": "text", "timeout_seconds": 2.5, "expect": [200, 404]},
        {"url": URL, "body": {"a": [1]}, "auth": {"type": "basic", "username": "u", "password": {"secret": "PW"}}},
        {"url": URL, "auth": {"type": "bearer", "token": {"secret": "TOKEN"}}},
        {"url": URL, "auth": {"type": "api_key", "name": "X-Key", "value": {"secret": "KEY"}, "in": "query"}},
    ],
)
def test_a_request_that_can_be_sent_is_accepted(config: dict[str, object]) -> None:
    spec = JobSpec("http_request", "x", config)

    assert JobSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "config.url"),
        ({"url": "ftp://example.org/"}, "config.url"),
        ({"url": "file:///etc/passwd"}, "config.url"),
        ({"url": "https:///nohost"}, "config.url"),
        ({"url": "http://host:99999/"}, "config.url"),
        ({"url": "http://[::1/"}, "config.url"),
        ({"url": "http://a b/"}, "config.url"),
        ({"url": "http://a/\r\nX: y"}, "config.url"),
        ({"url": "http://user:pw@host/"}, "config.url"),
        ({"url": URL, "method": "GET /"}, "config.method"),
        ({"url": URL, "method": 1}, "config.method"),
        ({"url": URL, "headers": {"A:": "b"}}, "config.headers"),
        ({"url": URL, "headers": {"A": "b\r\nC: d"}}, "config.headers[A]"),
        ({"url": URL, "headers": {"A": 1}}, "config.headers[A]"),
        ({"url": URL, "headers": {"A": {"secret": "no name"}}}, "config.headers[A]"),
        ({"url": URL, "headers": {"A": {"hidden": "B"}}}, "config.headers[A]"),
        ({"url": URL, "body": 5}, "config.body"),
        ({"url": URL, "auth": {"type": "digest"}}, "config.auth.type"),
        ({"url": URL, "auth": {"type": "bearer"}}, "config.auth"),
        ({"url": URL, "auth": {"type": "bearer", "token": "t", "more": "m"}}, "config.auth"),
        ({"url": URL, "auth": {"type": "api_key", "name": "a b", "value": "v"}}, "config.auth.name"),
        ({"url": URL, "auth": {"type": "api_key", "name": "a", "value": "v", "in": "body"}}, "config.auth.in"),
        ({"url": URL, "timeout_seconds": 0}, "config.timeout_seconds"),
        ({"url": URL, "expect": []}, "config.expect"),
        ({"url": URL, "expect": [999]}, "config.expect"),
        ({"url": URL, "proxy": "x"}, "config of http_request"),
    ],
)
def test_a_request_that_cannot_be_sent_is_refused_by_field(config: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        JobSpec("http_request", "x", config)

    assert caught.value.field == field


def test_a_refusal_does_not_repeat_a_password() -> None:
    auth = {"type": "basic", "username": "u", "password": "hunter2\n"}
    with pytest.raises(InvalidValue) as of_auth:
        JobSpec("http_request", "x", {"url": URL, "auth": auth})
    with pytest.raises(InvalidValue) as of_url:
        JobSpec("http_request", "x", {"url": "http://u:hunter2@host/"})

    assert "hunter2" not in f"{of_auth.value}{of_url.value}"


def test_what_is_shown_of_a_request_has_no_key_in_it() -> None:
    assert JobSpec("http_request", "x", {"url": URL}).display_args() == "GET https://example.org/a"


def test_secrets_are_found_in_headers_and_auth_and_filled_in_there() -> None:
    config = {
        "url": URL,
        "headers": {"A": {"secret": "ONE"}, "B": "plain"},
        "auth": {"type": "basic", "username": {"secret": "ONE"}, "password": {"secret": "TWO"}},
    }

    assert http_request.secret_names(config) == ("ONE", "TWO")
    filled = http_request.filled(config, str.lower)
    assert filled["headers"] == {"A": "one", "B": "plain"}
    assert filled["auth"] == {"type": "basic", "username": "one", "password": "two"}


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "config.operation"),
        ({"operation": "link", "source": "a"}, "config.operation"),
        ({"operation": "copy", "source": "a"}, "config.destination"),
        ({"operation": "delete", "source": "a", "destination": "b"}, "config.destination"),
        ({"operation": "create", "source": "a", "destination": "b"}, "config.source"),
        ({"operation": "move", "source": "a\0b", "destination": "b"}, "config.source"),
        ({"operation": "delete", "source": "a", "options": {"overwrite": True}}, "config.options of delete"),
        ({"operation": "delete", "source": "a", "options": {"recursive": "yes"}}, "config.options.recursive"),
        ({"operation": "create", "destination": "a", "options": {"mode": "999"}}, "config.options.mode"),
        ({"operation": "create", "destination": "a", "options": {"mode": "4755"}}, "config.options.mode"),
        ({"operation": "create", "destination": "a", "options": {"content": 5}}, "config.options.content"),
    ],
)
def test_a_file_operation_that_cannot_be_done_is_refused_by_field(config: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        JobSpec("file_operation", "x", config)

    assert caught.value.field == field


@pytest.mark.parametrize(
    ("kind", "config", "more"),
    [
        ("http_request", {"url": URL}, {"args": ("a",)}),
        ("http_request", {"url": URL}, {"interpreter": "python3"}),
        ("file_operation", {"operation": "delete", "source": "a"}, {"args": ("a",)}),
        ("shell", {"command": "true"}, {"interpreter": "python3"}),
        ("python_function", {"module": "m", "function": "f"}, {"args": ("a",)}),
    ],
)
def test_a_field_that_a_kind_has_no_use_for_is_refused(kind: str, config: dict, more: dict) -> None:
    with pytest.raises(InvalidValue, match="no use for it"):
        JobSpec(kind, "x", config, **more)


def test_an_unknown_kind_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InvalidValue, match="python_script, shell"):
        JobSpec("hologram", "x", {})


@pytest.mark.parametrize("name", ["shell", "Upper", "1st", "with space", ""])
def test_a_name_that_cannot_be_a_new_kind_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue):
        kinds.register_kind(name)
