"""A spec is checked when it is made, and survives its journey unchanged."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptfleet.domain.job import SPEC_VERSION, JobSpec
from scriptfleet.domain.kinds import Source
from scriptfleet.domain.limits import Limits
from scriptfleet.domain.retry import RetryPolicy, RetryStrategy
from scriptfleet.errors import InvalidValue

SHA = "0123456789abcdef" * 4


def shell(**options: Any) -> JobSpec:
    return JobSpec(**{"kind": "shell", "name": "echo", "config": {"command": "echo hi"}} | options)


BAD = [
    ("name", {"name": ""}, "''"),
    ("name", {"name": "x" * 256}, "at most 255"),
    ("name", {"name": "a\0b"}, "NUL"),
    ("name", {"name": "\ud800"}, "surrogates"),
    ("kind", {"kind": "cobol"}, "cobol"),
    ("config of shell", {"config": {"command": "ls", "colour": 1}}, "colour"),
    ("command", {"config": {}}, "none"),
    ("command", {"config": {"command": "   "}}, "not empty"),
    ("shell", {"config": {"command": "ls", "shell": "tcsh"}}, "tcsh"),
    ("source", {"kind": "python_script", "config": {"entry": "a.py"}}, "none"),
    ("config.entry", {"config": {"entry": "../a.sh"}, "source": Source(SHA, 1, "file")}, "../a.sh"),
    ("config.entry", {"config": {"entry": "/a.sh"}, "source": Source(SHA, 1, "file")}, "/a.sh"),
    ("config.module", {"kind": "python_function", "config": {"module": "a b", "function": "f"}}, "a b"),
    ("config.args", {"kind": "python_function", "config": {"module": "a", "function": "f", "args": "x"}}, "x"),
    ("args", {"args": "not a list"}, "not a list"),
    ("args[1]", {"args": ("a", 2)}, "2"),
    ("args[0]", {"args": ("a\0",)}, "NUL"),
    ("env", {"env": {"1X": "v"}}, "1X"),
    ("env", {"env": ["A=1"]}, "A=1"),
    ("env[A]", {"env": {"A": 1}}, "1"),
    ("secrets", {"secrets": ("my-key",)}, "my-key"),
    ("working_dir", {"working_dir": ""}, "not empty"),
    ("queue", {"queue": "a queue"}, "a queue"),
    ("queue", {"queue": "q" * 65}, "qqq"),
    ("queue", {"queue": "-x"}, "-x"),
    ("priority", {"priority": 10}, "10"),
    ("priority", {"priority": -1}, "-1"),
    ("priority", {"priority": True}, "true"),
    ("priority", {"priority": 1.5}, "1.5"),
    ("labels", {"labels": "team"}, "team"),
    ("labels[team]", {"labels": {"team": 7}}, "7"),
    ("group", {"group": ""}, "not empty"),
    ("idempotency_key", {"idempotency_key": "k" * 256}, "255"),
    ("timeout", {"timeout_seconds": 0}, "above 0"),
    ("timeout", {"timeout_seconds": -3}, "-3"),
    ("timeout", {"timeout_seconds": float("nan")}, "nan"),
    ("timeout", {"timeout_seconds": float("inf")}, "inf"),
    ("timeout", {"timeout_seconds": "5"}, "5"),
    ("grace", {"grace_seconds": -1}, "-1"),
    ("grace", {"grace_seconds": 86_401}, "86400"),
    ("not_before", {"not_before": "tomorrow"}, "tomorrow"),
    ("expires_at", {"not_before": 200.0, "expires_at": 100.0}, "after not_before"),
]


@pytest.mark.parametrize(("field", "options", "shown"), BAD, ids=[f"{field}-{shown}" for field, _, shown in BAD])
def test_a_bad_value_is_refused_naming_field_and_value(field: str, options: dict[str, Any], shown: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        shell(**options)

    assert caught.value.field == field
    assert shown in str(caught.value)
    assert "expected" in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"memory_mb": 0},
        {"memory_mb": "1G"},
        {"cpu_seconds": -1},
        {"processes": 0},
        {"open_files": 3},
        {"file_size_bytes": 0},
        {"output_bytes": 10},
        {"output_bytes": None},
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=f"limits.{next(iter(options))}"):
        Limits(**options)


@pytest.mark.parametrize("part", ["limits", "retry"])
def test_an_unknown_name_inside_a_part_is_refused(part: str) -> None:
    data = shell().to_dict() | {part: {"max_attempst": 3}}

    with pytest.raises(InvalidValue, match="max_attempst"):
        JobSpec.from_dict(data)


@pytest.mark.parametrize("source", [{"sha256": SHA}, "text", {"sha256": "xyz", "size_bytes": 1, "form": "file"}])
def test_a_source_that_is_not_one_is_refused(source: object) -> None:
    with pytest.raises(InvalidValue, match="source"):
        JobSpec.from_dict(shell().to_dict() | {"source": source})


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20).filter(
    lambda text: bool(text.strip())
)
free_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
env_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)
seconds = st.floats(0.001, 1e6)
mebibytes = st.floats(1, 1e6)


@st.composite
def specs(draw: st.DrawFn) -> JobSpec:
    policy = RetryPolicy(
        max_attempts=draw(st.integers(1, 1000)),
        strategy=draw(st.sampled_from(RetryStrategy)),
        initial_delay=draw(seconds),
        max_total_time=draw(st.none() | seconds),
        retry_on=tuple(draw(st.lists(words, max_size=2))),
    )
    limits = Limits(memory_mb=draw(st.none() | mebibytes), processes=draw(st.none() | st.integers(1, 99)))
    return shell(
        name=draw(words),
        config={"command": draw(words)},
        source=draw(st.none() | st.just(Source(SHA, 3, "bundle"))),
        args=tuple(draw(st.lists(free_text, max_size=4))),
        env=draw(st.dictionaries(env_names, free_text, max_size=3)),
        secrets=tuple(draw(st.lists(env_names, max_size=2))),
        working_dir=draw(st.none() | words),
        queue=draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True)),
        priority=draw(st.integers(0, 9)),
        labels=draw(st.dictionaries(words, free_text, max_size=2)),
        timeout_seconds=draw(st.none() | seconds),
        grace_seconds=draw(st.floats(0, 86_400)),
        retry=policy,
        limits=limits,
        idempotency_key=draw(st.none() | words),
        not_before=draw(st.none() | seconds),
    )


@given(specs())
def test_every_spec_comes_back_from_json_as_it_was(spec: JobSpec) -> None:
    assert JobSpec.from_json(spec.to_json()) == spec


@given(specs())
def test_equal_specs_give_equal_text(spec: JobSpec) -> None:
    assert JobSpec.from_json(spec.to_json()).to_json() == spec.to_json()


def test_only_what_differs_from_the_defaults_travels() -> None:
    assert shell().to_dict() == {"v": 1, "kind": "shell", "name": "echo", "config": {"command": "echo hi"}}


def test_a_falsy_value_that_differs_from_its_default_travels() -> None:
    spec = shell(priority=0, grace_seconds=0.0, not_before=0.0)

    assert JobSpec.from_json(spec.to_json()) == spec


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(InvalidValue, match="colour"):
        JobSpec.from_dict(shell().to_dict() | {"colour": "red"})


def test_a_newer_version_is_refused_by_its_number() -> None:
    with pytest.raises(InvalidValue, match=str(SPEC_VERSION + 1)) as caught:
        JobSpec.from_dict(shell().to_dict() | {"v": SPEC_VERSION + 1})

    assert "upgrade" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '"text"', b"\xff\xfe"])
def test_text_that_is_no_spec_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidValue):
        JobSpec.from_json(text)


@pytest.mark.parametrize("name", ["kind", "name"])
def test_a_spec_without_a_required_field_is_refused_by_name(name: str) -> None:
    data = json.loads(shell().to_json())
    del data[name]

    with pytest.raises(InvalidValue, match=f"job.{name}"):
        JobSpec.from_dict(data)


def test_a_long_value_is_shortened_in_the_message() -> None:
    with pytest.raises(InvalidValue) as caught:
        shell(queue="q" * 10_000)

    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({}, "echo hi"),
        ({"config": {"command": "x" * 999}}, "x" * 200),
        ({"config": {"entry": "a.sh"}, "source": Source(SHA, 1, "file"), "args": ("a", "b c")}, '["a", "b c"]'),
        ({"config": {"entry": "a.sh"}, "source": Source(SHA, 1, "file")}, ""),
    ],
)
def test_arguments_are_shown_in_one_short_line(options: dict[str, Any], shown: str) -> None:
    assert shell(**options).display_args() == shown


def test_secrets_are_never_in_the_shown_arguments() -> None:
    assert "TOKEN" not in shell(secrets=("TOKEN",), env={"A": "TOKEN"}).display_args()
