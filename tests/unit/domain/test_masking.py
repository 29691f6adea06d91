"""No secret is seen in what is shown, whatever form it takes and however it arrives."""

import base64
import itertools
import json
import re
import urllib.parse
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scriptfleet.domain.mask_stream import MaskStream
from scriptfleet.domain.masking import (
    has_password,
    is_secret_name,
    mask_data,
    mask_text,
    patterns,
    shown_spec,
    without_secrets,
)

SECRET = "hunter2-Zürich/+=\"x'"
ASCII = "s3cr3t-t0ken-value"


def streamed(chunks: list[bytes], *secrets: str) -> bytes:
    stream = MaskStream(patterns(secrets))
    return b"".join([*(stream.feed(chunk) for chunk in chunks), stream.feed(b"", is_last=True)])


def cut(text: bytes, places: list[int]) -> list[bytes]:
    at = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(at)]


@pytest.mark.parametrize(
    "name",
    [
        *("SECRET_X", "TOKEN_X", "PASSWORD_X", "X_SECRET", "X_TOKEN", "X_PASSWORD", "X_KEY", "AWS_SECRET_ACCESS_KEY"),
        *("api_key", "Db_Password", "x-api-key", "Authorization", "PASSWORD", "token", "PGPASSWORD", "REDIS_PASS"),
    ],
)
def test_a_name_that_sounds_like_a_secret_is_one(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["PATH", "KEYBOARD", "MONKEY", "TOKENIZER", "SECRETARY", "HOME", "KEY", "PASSENGERS"])
def test_other_names_are_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


def test_more_prefixes_can_be_said() -> None:
    assert is_secret_name("vault_address", ["VAULT_"])
    assert not is_secret_name("my_vault_address", ["VAULT_"])


def encodings(secret: str) -> dict[str, str]:
    raw = secret.encode()
    return {
        "plain": secret,
        "base64": base64.b64encode(raw).decode(),
        "base64 with a line break": base64.b64encode(raw + b"\n").decode(),
        "base64 for addresses": base64.urlsafe_b64encode(raw).decode(),
        "base64 without padding": base64.urlsafe_b64encode(raw).decode().rstrip("="),
        "hex": raw.hex(),
        "HEX": raw.hex().upper(),
        "URL": urllib.parse.quote(secret, safe=""),
        "form": urllib.parse.quote_plus(secret),
        "JSON": json.dumps(secret),
        "JSON in UTF-8": json.dumps(secret, ensure_ascii=False),
        "Python": repr(secret),
    }


@pytest.mark.parametrize("form", encodings(SECRET))
@pytest.mark.parametrize("secret", [SECRET, ASCII, "abcd"])
def test_a_secret_is_hidden_in_every_form(form: str, secret: str) -> None:
    shown = mask_text(f"before {encodings(secret)[form]} after", patterns([secret]))

    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert "***" in shown
    # The last character of an encoding may hold some bits of what follows.
    assert len(shown) <= len("before  after") + len('"***"') + 4


@pytest.mark.parametrize("lead", range(7))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_of_a_text_around_a_secret_does_not_give_it_away(lead: int, encode: Any) -> None:
    text = encode(b"x" * lead + ASCII.encode() + b" and what follows")
    shown = streamed([text], ASCII)

    assert b"***" in shown
    assert shown.endswith(text[-12:])
    for start in range(4):
        pieces = re.split(rb"\*+", shown[start:].translate(bytes.maketrans(b"-_", b"+/"), b"="))
        decoded = b" ".join(base64.b64decode(one[: len(one) // 4 * 4]) for one in pieces)
        assert not [at for at in range(len(ASCII) - 3) if ASCII.encode()[at : at + 4] in decoded]


@pytest.mark.parametrize("size", [1, 5, 64, 4096])
@pytest.mark.parametrize("lead", [0, 30, 50, 56])
def test_base64_in_lines_hides_it_across_the_line_break(lead: int, size: int) -> None:
    text = base64.encodebytes(b"a" * lead + ASCII.encode() * 3 + b"b" * 40)
    flat = streamed([text[at : at + size] for at in range(0, len(text), size)], ASCII).replace(b"\n", b"")
    middle = base64.b64encode(b"a" * lead + ASCII.encode() * 3)

    assert flat.count(b"***") == 3
    for at in range(lead * 4 // 3 + 2, len(middle) - 8):
        assert middle[at : at + 8] not in flat


def test_short_values_are_not_hidden() -> None:
    assert patterns(["", "1", "abc", "   ", "\n\n\n\n\n"]) == ()


def test_lines_of_a_secret_of_several_lines_are_hidden_one_by_one() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n"
    indented = "".join(f"    {line}\n" for line in key.splitlines())

    assert mask_text(indented, patterns([key])) == "    ***\n" * 4
    assert mask_text(f"<{key}>", patterns([key])) == "<***>"
    assert mask_text(key.replace("\n", "\r\n"), patterns([key])).strip() == "***"


@given(
    st.lists(st.sampled_from([ASCII, ASCII[:7], "s3", "s", "noise ", "\n", "a\n", "**", "line of text\n"]), max_size=8),
    st.lists(st.integers(0, 400), max_size=12),
)
@example([ASCII, ASCII], [5, 18, 20, 36])
@example(["s3cr", "s3", ASCII[:7], ASCII], [4, 6, 9])
def test_no_way_of_cutting_the_output_shows_the_secret_or_loses_anything_else(
    words: list[str], places: list[int]
) -> None:
    text = "".join(words).encode()
    shown = streamed(cut(text, places), ASCII)

    assert shown == text.replace(ASCII.encode(), b"***")


@given(st.text(min_size=4, max_size=12), st.binary(max_size=40), st.binary(max_size=40), st.lists(st.integers(0, 99)))
def test_no_secret_of_any_kind_is_shown_between_any_bytes(
    secret: str, before: bytes, after: bytes, places: list[int]
) -> None:
    hidden = patterns([secret])
    text = before + secret.encode("utf-8", "surrogatepass") + after
    shown = streamed(cut(text, places), secret)

    assert shown == streamed([text], secret)
    assert not hidden or secret.encode("utf-8", "surrogatepass") not in shown or secret.strip("*") == ""


@given(
    st.lists(st.sampled_from(["aaaa", "aaaaab", "abab", "baaaa"]), min_size=1, max_size=4),
    st.text("ab", max_size=40),
    st.lists(st.integers(0, 60), max_size=6),
)
def test_secrets_that_overlap_are_hidden_whole(secrets: list[str], text: str, places: list[int]) -> None:
    covered = [False] * len(text)
    for secret in secrets:
        for at in range(len(text)):
            if text.startswith(secret, at):
                covered[at : at + len(secret)] = [True] * len(secret)
    shown = streamed(cut(text.encode(), places), *secrets).decode()

    assert shown.replace("*", "") == "".join(
        char for char, is_covered in zip(text, covered, strict=True) if not is_covered
    )
    assert ("***" in shown) == any(covered)


def test_only_what_may_become_a_secret_is_held_back() -> None:
    stream = MaskStream(patterns([ASCII]))

    assert stream.feed(b"working\n") == b"working\n"
    assert stream.feed(b"lines\n") == b"lines\n"
    assert stream.feed(b"is it s3cr") == b"is it "
    assert stream.feed(b"ecy? no\n") == b"s3crecy? no\n"
    assert stream.feed(ASCII.encode()[:-1]) == b""
    assert stream.feed(ASCII.encode()[-1:] + b"\n") == b"***\n"
    assert stream.feed(b"", is_last=True) == b""


def test_a_stream_passes_on_bytes_that_are_no_text() -> None:
    assert streamed([bytes(range(256))], ASCII) == bytes(range(256))


def test_data_is_masked_in_names_texts_and_numbers_at_any_depth() -> None:
    hidden = patterns([ASCII, "48151623"])
    data = {"a": [f"x {ASCII}", {ASCII: None}], "n": 48151623, "f": 1.5, "t": True, "x": "fine"}

    assert mask_data(data, hidden) == {"a": ["x ***", {"***": None}], "n": "***", "f": 1.5, "t": True, "x": "fine"}
    assert mask_data(data, ()) is data


def test_data_that_lies_too_deep_to_be_looked_at_is_hidden() -> None:
    deep: Any = ASCII
    for _ in range(900):
        deep = [deep]

    assert ASCII not in json.dumps(mask_data(deep, patterns([ASCII])))


def test_a_spec_is_shown_without_secrets_in_its_variables_and_settings() -> None:
    spec = {
        "kind": "http_request",
        "name": "x",
        "env": {"DB_PASSWORD": "p", "MODE": "fast", "URL": "redis://me:pw@host/0", "AT": "https://me@host:80/a@b"},
        "config": {"headers": {"Authorization": "Bearer x", "Accept": "y"}, "kwargs": {"token": "t", "n": [1, None]}},
        "labels": {"secret_label": "kept"},
    }

    assert shown_spec(spec) == {
        **spec,
        "env": {"DB_PASSWORD": "***", "MODE": "fast", "URL": "redis://me:***@host/0", "AT": "https://me@host:80/a@b"},
        "config": {"headers": {"Authorization": "***", "Accept": "y"}, "kwargs": {"token": "***", "n": [1, None]}},
    }
    assert shown_spec({"kind": "shell"}) == {"kind": "shell"}
    assert without_secrets({"VAULT_X": "a"}, ["VAULT_"]) == {"VAULT_X": "***"}


@pytest.mark.parametrize(
    ("text", "expected"), [("redis://:pw@h", True), ("a://u:p@h", True), ("http://h:80/x@y", False), ("u:p@h", False)]
)
def test_a_password_in_an_address_is_seen(text: str, expected: bool) -> None:
    assert has_password(text) is expected
