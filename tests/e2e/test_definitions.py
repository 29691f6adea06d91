"""Definitions from the command line: kept with their scripts, submitted and run by name."""

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.command import one_line, scriptfleet
from tests.fleet_parts import Fleet

SCRIPT = """
import os, sys
print(sys.argv[1:], os.environ["REGION"])
"""
FILE = """
description: Sales of one day
script: report.py
args: ["--day", "${params.day}", "${params.limit}", "${params.note}"]
env: {REGION: "in ${params.region}"}
labels: {team: sales}
retry: 1
parameters:
  day: {required: true, description: "such as 2026-03-01"}
  limit: {type: integer, default: 100, least: 1, most: 1000}
  region: {type: choice, choices: [eu, us], default: eu}
  note:
"""
HOSTILE = "$(touch owned) `id`; \"'${REGION}"


@pytest.fixture
def report(fleet: Fleet, tmp_path: Path) -> Path:
    """A definition's file, added as ``report``."""
    path = tmp_path / "report.yaml"
    path.write_text(FILE)
    path.with_name("report.py").write_text(SCRIPT)
    assert call(fleet, "definition", "add", "report", str(path)).stdout == "report@1\n"
    return path


def call(fleet: Fleet, *words: str) -> "CompletedProcess[str]":
    settings = {name: value for name, value in fleet.environment.items() if name.startswith("SCRIPTFLEET_")}
    return scriptfleet(*words, **{**settings, "home": fleet.home, "SCRIPTFLEET_HOME": str(fleet.home)})  # type: ignore[arg-type]


def answer(fleet: Fleet, *words: str) -> Any:
    result = call(fleet, *words, "--json")
    assert result.stdout, result.stderr
    return json.loads(result.stdout)


def test_a_definition_is_submitted_by_name_with_the_script_as_it_was(fleet: Fleet, report: Path) -> None:
    fleet.server()
    fleet.worker()
    report.with_name("report.py").unlink()

    first = call(fleet, "submit", "--definition", "report", "-P", "day=2026-03-01", "--wait")
    hostile = call(fleet, "submit", "--definition", "report@1", "-P", f"day={HOSTILE}", "-P", "region=us", "--wait")

    assert first.stdout == "['--day', '2026-03-01', '100'] in eu\n", first.stderr
    assert hostile.stdout == f"{['--day', HOSTILE, '100']!r} in us\n", hostile.stderr


def test_jobs_tell_the_version_and_further_options_change_what_it_says(fleet: Fleet, report: Path) -> None:
    words = ("submit", "--definition", "report", "-P", "day=1", "--queue", "later", "--label", "why=test")

    job = fleet.client().job(answer(fleet, *words)["job_id"])

    spec = json.loads(job._broker.redis.hget(job._broker.keys("job", job.id), "spec"))
    assert spec["labels"] == {"team": "sales", "why": "test", "definition": "report@1"}
    assert (spec["queue"], spec["retry"]["max_attempts"]) == ("later", 2)


def test_a_definition_runs_here_by_name(fleet: Fleet, report: Path) -> None:
    report.with_name("report.py").unlink()

    result = call(fleet, "run", "--quiet", "--definition", "report", "-P", "day=now", "-P", "note=a b")

    assert (result.returncode, result.stdout) == (0, "['--day', 'now', '100', 'a b'] in eu\n"), result.stderr


def test_a_hostile_value_in_a_command_line_is_one_word(fleet: Fleet, tmp_path: Path) -> None:
    told = call(fleet, "definition", "add", "say", "--parameter", "what={}", "--shell", 'printf "%s" "${params.what}"')
    assert told.stdout == "say@1\n", told.stderr

    result = call(fleet, "run", "--quiet", "--definition", "say", "-P", f"what={HOSTILE}")

    assert result.stdout == HOSTILE
    assert not (fleet.home / "owned").exists()


def test_versions_are_listed_shown_and_told_apart(fleet: Fleet, report: Path) -> None:
    report.write_text(FILE.replace("default: 100", "default: 50").replace("retry: 1", "retry: 3"))
    assert call(fleet, "definition", "add", "report", str(report)).stdout == "report@2\n"
    assert call(fleet, "definition", "add", "report", str(report)).stdout == "report@2\n"

    past = answer(fleet, "definition", "history", "report")
    listed = call(fleet, "definition", "ls").stdout
    shown = call(fleet, "definition", "show", "report@1").stdout

    assert [(one["version"], one["changes"]) for one in past] == [
        (2, ["parameters.limit.default", "spec.retry.max_attempts"]),
        (1, ["made"]),
    ]
    assert "@" in past[0]["changed_by"]
    assert answer(fleet, "definition", "show", "report@1")["parameters"]["limit"]["default"] == 100
    assert "report.py" in listed
    assert "Sales of one day" in shown
    assert "a whole number from" in shown
    assert all(len(line) <= 80 for text in (listed, shown) for line in text.splitlines() if "─" in text)
    assert "made" in call(fleet, "definition", "history", "report").stdout


def test_a_removed_definition_is_not_run_and_its_history_stays(fleet: Fleet, report: Path) -> None:
    assert "definition not found: none" in one_line(call(fleet, "definition", "rm", "report", "none"))
    assert call(fleet, "definition", "rm", "report").stdout == "report: removed\n"

    refused = call(fleet, "submit", "--definition", "report", "-P", "day=1")

    assert (refused.returncode, one_line(refused)) == (
        125,
        "scriptfleet: definition not found: report (it was removed)",
    )
    assert [one["is_removed"] for one in answer(fleet, "definition", "history", "report")] == [True, False]
    assert "no definitions" in call(fleet, "definition", "ls").stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--definition", "report"], "parameter day: 'nothing' is not accepted: expected a value, which is required"),
        (
            ["--definition", "report", "-P", "day=1", "-P", "limit=many"],
            "'many' is not accepted: expected a whole number",
        ),
        (["--definition", "report", "-P", "dya=1"], "parameter: 'dya' is not accepted: expected one of day, limit"),
        (["--definition", "report", "-P", "day=1", "-P", "day=2"], "-P: 'day' is not accepted"),
        (["--definition", "report", "x.py"], "expected one of --definition, SCRIPT"),
        (["--definition", "report@x"], "NAME or NAME@VERSION"),
        (["--definition", "report@9", "-P", "day=1"], "definition not found: report@9"),
        (["-P", "day=1", "--shell", "true"], "--definition NAME beside it"),
    ],
)
def test_what_does_not_fit_is_told_in_a_line(fleet: Fleet, report: Path, words: list[str], message: str) -> None:
    assert message in one_line(call(fleet, "submit", *words))


def test_run_refuses_what_submit_refuses(fleet: Fleet, report: Path) -> None:
    for words in (["--definition", "report"], ["--definition", "report", "x.py"], ["-P", "day=1", "--shell", "true"]):
        assert one_line(call(fleet, "run", *words)) == one_line(call(fleet, "submit", *words))
    assert "--definition NAME beside it" in one_line(call(fleet, "run", "--database", "sqlite:////x.db", "a.py"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shell: 'true'\nqeue: x", "'qeue' is not accepted"),
        ("shell: 'true'\ncode: 'pass'", "'code shell' is not accepted"),
        ("args: [a]", "'nothing to run' is not accepted"),
        ("shell: 'echo ${params.x}'", "the name of a parameter|parameters, of which there are none"),
        ("shell: 'true'\nparameters: {a-b: {}}", "parameter name: 'a-b'"),
        ("shell: 'true'\nidempotency_key: k", "'idempotency_key' is not accepted"),
        ("{", "a YAML or JSON file"),
        ("!!python/object/apply:os.system ['touch owned']", "a YAML or JSON file"),
        ("- a", "a mapping"),
        ("script: /nowhere/none.py", "a file that can be read"),
    ],
)
def test_a_file_that_cannot_be_is_told_in_a_line(fleet: Fleet, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)

    told = one_line(call(fleet, "definition", "add", "wrong", str(path)))

    assert any(part in told for part in message.split("|"))
    assert not (fleet.home / "owned").exists()


@pytest.mark.parametrize(
    "text",
    [
        'http: {url: "https://shop.example/${params.day}", headers: {X-Day: "${params.day}"}}',
        'function: "json:dumps"\nargs: ["${params.day}"]\nkwargs: {indent: 2}',
        "file_operation: {operation: delete, source: '/srv/${params.day}', settings: {missing_ok: true}}",
        '{"code": "print(1)", "args": ["${params.day}", 5]}',
        "shell: 'echo ${params.day}'\nshell_name: bash\ntimeout: 5",
    ],
)
def test_every_kind_of_job_can_be_defined(fleet: Fleet, tmp_path: Path, text: str) -> None:
    path = tmp_path / "kind.yaml"
    more = "" if text.startswith("{") else "\nparameters: {day: {default: 2026-03-01}}"
    path.write_text(text.replace('{"code"', '{"parameters": {"day": {"default": "2026-03-01"}}, "code"') + more)

    added = json.loads(call(fleet, "definition", "add", "--json", "kind", str(path)).stdout)

    assert added["parameters"]["day"]["default"] == "2026-03-01"
    assert call(fleet, "submit", "--definition", "kind").returncode == 0
