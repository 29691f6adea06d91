"""Definitions: parameters, their places, and what stands there."""

import subprocess
from typing import Any

import pytest

from scriptfleet.domain.definition import Definition, Reference, changes
from scriptfleet.domain.interpolation import interpolate
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.parameter import Parameter, ParameterType, of_file, read_all
from scriptfleet.domain.value import replace
from scriptfleet.errors import InvalidValue

HOSTILE = "$(touch owned); `id`; ' \" \\ ${HOME} $${HOME} && rm -rf / \n * -rf"


def shell(command: str, parameters: dict[str, Any], **fields: Any) -> Definition:
    return Definition("one", JobSpec("shell", "one", {"command": command}, **fields), of_file(parameters))


def environment_of(spec: JobSpec) -> dict[str, str]:
    return interpolate(spec.env, {"HOME": "/root", "DB_TOKEN": "opensesame"}, {})


@pytest.mark.parametrize(
    ("said", "text", "value"),
    [
        ({}, "a b", "a b"),
        ({"type": "integer"}, "-12", -12),
        ({"type": "integer"}, "3.0", 3),
        ({"type": "number"}, "1e3", 1000.0),
        ({"type": "number"}, "2", 2),
        ({"type": "boolean"}, "Yes", True),
        ({"type": "boolean"}, "off", False),
        ({"type": "choice", "choices": ["a", "b"]}, "b", "b"),
        ({"type": "secret"}, "DB_TOKEN", "DB_TOKEN"),
    ],
)
def test_a_text_is_read_as_the_parameter_s_type(said: dict[str, Any], text: str, value: object) -> None:
    found = Parameter.from_dict("x", said).read(text)

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("said", "text", "message"),
    [
        ({"type": "integer"}, "12.5", "parameter x: 12.5 is not accepted: expected a whole number"),
        ({"type": "integer"}, "9" * 5000, "parameter x: .*expected a whole number"),
        (
            {"type": "integer", "least": 1, "most": 9},
            "10",
            "parameter x: 10 is not .*: expected a whole number from 1 to 9",
        ),
        ({"type": "number"}, "nan", "parameter x: nan is not accepted: expected a number"),
        ({"type": "number", "most": 0}, "1", "expected a number to 0"),
        ({"type": "number"}, "1e999", "expected a number"),
        ({"type": "boolean"}, "maybe", "parameter x: 'maybe' is not accepted: expected true or false"),
        ({"type": "choice", "choices": ["a", "b"]}, "c", "parameter x: 'c' is not accepted: expected one of a, b"),
        ({"type": "secret"}, "hunter 2", r"parameter x: '\*\*\*' is not accepted: expected the name of a secret"),
        ({}, "a\0b", "parameter x: .* expected text without NUL bytes"),
    ],
)
def test_a_value_that_is_not_allowed_is_told_with_parameter_value_and_what_is(
    said: dict[str, Any], text: str, message: str
) -> None:
    with pytest.raises(InvalidValue, match=message):
        Parameter.from_dict("x", said).read(text)


@pytest.mark.parametrize(
    ("name", "said", "message"),
    [
        ("a-b", {}, "parameter name: 'a-b'"),
        ("x", {"type": "date"}, "parameter x.type: 'date' is not accepted: expected one of string, integer"),
        ("x", {"tpye": "string"}, "parameter x: 'tpye' is not accepted: expected one of choices, default"),
        ("x", {"type": "choice"}, "parameter x.choices: 'none' is not accepted: expected at least one"),
        ("x", {"type": "choice", "choices": "ab"}, "parameter x.choices: .* a list of strings"),
        ("x", {"choices": ["a"]}, "parameter x.choices: .*for the types choice and secret"),
        ("x", {"least": 1}, "parameter x.least: .*for the types integer and number"),
        ("x", {"type": "integer", "least": 2, "most": 1}, "parameter x.least: 2 is not accepted: expected at most 1"),
        ("x", {"type": "integer", "default": "ten"}, "parameter x: 'ten' is not accepted"),
        ("x", {"default": "a", "required": True}, "parameter x.default: 'a' is not accepted: expected none"),
        ("x", {"required": "maybe"}, "parameter x.required: 'maybe'"),
        ("x", ["string"], "parameter x: .* a mapping"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused(name: str, said: Any, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        Parameter.from_dict(name, said)


def test_a_parameter_comes_back_from_its_plain_form() -> None:
    given = Parameter("n", ParameterType.INTEGER, "how many", 0, least=-1, most=5)

    assert Parameter.from_dict("n", given.to_dict()) == given
    assert given.to_dict() == {"type": "integer", "description": "how many", "default": 0, "least": -1, "most": 5}


def test_arguments_are_filled_one_place_one_argument() -> None:
    one = shell("cat", {"day": {"required": True}, "limit": {"type": "integer", "default": 10}, "note": {}})
    one = Definition(
        "one",
        JobSpec(
            "python_function",
            "f",
            {
                "module": "m",
                "function": "f",
                "args": ["${params.day}", "${params.limit}", "n=${params.limit}", "${params.note}"],
                "kwargs": {"on": "${params.limit}", "note": "${params.note}"},
            },
        ),
        one.parameters,
    )

    config = one.filled({"day": HOSTILE}, 1).config

    assert config["args"] == [HOSTILE, 10, "n=10"]
    assert config["kwargs"] == {"on": 10}


def test_a_hostile_value_in_a_command_line_is_data_to_the_shell(tmp_path: Any) -> None:
    one = shell('printf %s "${params.x}"', {"x": {}})

    spec = one.filled({"x": HOSTILE}, 1)

    ran = subprocess.run(
        ["sh", "-c", spec.config["command"]], check=True, env=environment_of(spec), cwd=tmp_path, capture_output=True
    )
    assert ran.stdout.decode() == HOSTILE
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "value", [HOSTILE, "${DB_TOKEN}", "$${DB_TOKEN}", "$$${DB_TOKEN}", "$", "{DB_TOKEN}", "${", "$$"]
)
@pytest.mark.parametrize(
    "template", ["${params.x}", "$${params.x}", "a ${params.x}{HOME}", "${params.x}$", "-${params.x}-"]
)
def test_a_hostile_value_in_the_environment_reaches_no_other_variable(value: str, template: str) -> None:
    spec = shell("env", {"x": {}}, env={"SHOWN": template}).filled({"x": value}, 1)

    expected = template.replace("$${params.x}", "\1").replace("${params.x}", value).replace("\1", "${params.x}")
    assert environment_of(spec)["SHOWN"] == expected


def test_a_dollar_before_a_brace_of_a_value_makes_no_reference() -> None:
    spec = shell("env", {"x": {}, "y": {}}, env={"SHOWN": "${params.x}${params.y}"}).filled(
        {"x": "$", "y": "{HOME}"}, 1
    )

    assert environment_of(spec)["SHOWN"] == "${HOME}"


def test_a_value_that_would_escape_the_reference_behind_it_is_refused() -> None:
    one = shell("env", {"x": {}}, env={"SHOWN": "${params.x}${HOME}"})

    assert environment_of(one.filled({"x": "a"}, 1))["SHOWN"] == "a/root"
    with pytest.raises(InvalidValue, match="a value that does not end in"):
        one.filled({"x": "a$"}, 1)


def test_a_value_in_an_address_is_percent_encoded() -> None:
    spec = JobSpec("http_request", "get", {"url": "https://shop.example/items/${params.id}?q=${params.id}"})

    filled = Definition("get", spec, of_file({"id": {}})).filled({"id": "../a&b=c#d"}, 1)

    assert filled.config["url"] == "https://shop.example/items/..%2Fa%26b%3Dc%23d?q=..%2Fa%26b%3Dc%23d"


def test_a_secret_s_name_brings_the_secret_into_the_environment_alone() -> None:
    parameters = {"token": {"type": "secret", "required": True}}
    one = shell('curl -H "x: ${params.token}"', parameters, env={"AUTH": "Bearer ${params.token}"})

    spec = one.filled({"token": "DB_TOKEN"}, 1)

    assert spec.secrets == ("DB_TOKEN",)
    assert spec.config["command"] == 'curl -H "x: ${DB_TOKEN}"'
    assert environment_of(spec) == {"AUTH": "Bearer opensesame"}


def test_a_secret_s_place_in_arguments_is_refused() -> None:
    spec = JobSpec("python_function", "f", {"module": "m", "function": "f", "args": ["${params.t}"]})

    with pytest.raises(
        InvalidValue, match=r"config.args\[0\]: '\${params.t}' is not accepted: expected a secret's place in env"
    ):
        Definition("f", spec, of_file({"t": {"type": "secret"}}))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("echo ${params.y}", r"config.command: '\${params.y}' is not accepted: expected the name of a parameter: x"),
        ("echo ${params.x", r"config.command: '\${params.x' is not accepted: expected a parameter's name and }"),
    ],
)
def test_a_place_that_names_nothing_is_refused_when_the_definition_is_made(command: str, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        shell(command, {"x": {}})


def test_name_and_labels_are_filled() -> None:
    spec = shell("true", {"day": {}, "none": {}}, labels={"day": "of ${params.day}", "other": "${params.none}"})
    made = Definition("one", replace(spec.spec, name="report ${params.day}"), (Parameter("day"), Parameter("none")))

    filled = made.filled({"day": "2026-03-01"}, 3)

    assert filled.name == "report 2026-03-01"
    assert filled.labels == {"day": "of 2026-03-01", "definition": "one@3"}
    assert len(made.filled({"day": "x" * 250}, 3).name) == 255


@pytest.mark.parametrize(
    "more", [{"group": "${params.day}"}, {"working_dir": "/srv/${params.day}"}, {"concurrency_key": "${params.day}"}]
)
def test_a_place_where_nothing_is_filled_is_refused(more: dict[str, Any]) -> None:
    limit = {"concurrency_limit": 1} if "concurrency_key" in more else {}
    spec = JobSpec("shell", "x", {"command": "true"}, **more, **limit)

    with pytest.raises(InvalidValue, match=r"no place here"):
        Definition("report", spec, (Parameter("day"),))


def test_an_escaped_place_is_plain_text() -> None:
    assert shell("echo '$${params.x}'", {}).filled({}, 1).config["command"] == "echo '${params.x}'"


def test_a_shell_with_other_variables_takes_places_in_the_environment_alone() -> None:
    spec = JobSpec("shell", "f", {"command": "echo ${params.x}", "shell": "fish"})

    with pytest.raises(InvalidValue, match="a command line for one of bash, sh, zsh, or the place in env"):
        Definition("f", spec, of_file({"x": {}}))


def test_a_missing_required_value_and_an_unknown_one_are_refused_by_name() -> None:
    one = shell("true", {"day": {"required": True}})

    with pytest.raises(InvalidValue, match="parameter day: 'nothing' is not accepted: expected a value, which is req"):
        one.filled({}, 1)
    with pytest.raises(InvalidValue, match="parameter: 'dya' is not accepted: expected one of day"):
        one.filled({"dya": "1", "day": "2"}, 1)
    with pytest.raises(InvalidValue, match="parameter: 'dya'"):
        read_all(one.parameters, {"dya": "1"})


def test_jobs_bear_the_definition_s_name_and_version() -> None:
    assert shell("true", {}, labels={"team": "a"}).filled({}, 7).labels == {"team": "a", "definition": "one@7"}


@pytest.mark.parametrize(
    "fields", [{"idempotency_key": "k"}, {"not_before": 5.0}, {"schedule": "s"}, {"labels": {"definition": "x"}}]
)
def test_what_holds_for_one_job_alone_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        shell("true", {}, **fields)


@pytest.mark.parametrize("name", ["", "a b", "a@1", "../a", "-a", "a" * 65, "é"])
def test_a_name_that_an_address_or_a_shell_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match="definition name"):
        Definition(name, JobSpec("shell", "x", {"command": "true"}))


def test_a_reference_is_a_name_with_or_without_a_version() -> None:
    assert Reference.parse("a.b-c") == Reference("a.b-c")
    assert Reference.parse("a@12") == Reference("a", 12)
    for wrong in ("a@", "a@0", "a@x", "a@1@2", "a@²"):
        with pytest.raises(InvalidValue):
            Reference.parse(wrong)


def test_what_changed_between_versions_is_named_by_path() -> None:
    before = shell("true", {"x": {}}, env={"A": "1"}).to_dict()
    after = shell("false", {"x": {"default": "1"}, "y": {}}, env={"A": "2"}).to_dict()

    assert changes(before, after) == ["parameters.x.default", "parameters.y", "spec.config.command", "spec.env.A"]
