"""What a definition's parameters become on a worker: a secret by its name, settings of an installed package's kind."""

import json
from pathlib import Path

import pytest

from tests.e2e.test_definitions import answer, call
from tests.fleet_parts import Fleet
from tests.unit.execution.test_executors_registry import install

SECRET = "correct-horse-battery"


def defined(fleet: Fleet, path: Path, text: str) -> str:
    path.write_text(text)
    name = path.stem
    assert call(fleet, "definition", "add", name, str(path)).stdout == f"{name}@1\n"
    return name


def test_a_secret_parameter_brings_the_workers_secret_by_its_name_and_nobody_sees_it(
    fleet: Fleet, tmp_path: Path
) -> None:
    worker = fleet.worker(env={"SCRIPTFLEET_SECRET_PROD_KEY": SECRET, "SCRIPTFLEET_SECRET_OTHER": "not-to-be-had"})
    text = """
shell: 'printf %s "${params.key}" | wc -c; printf %s "$URL" | wc -c'
env: {URL: 'pg://me:${params.key}@db'}
parameters: {key: {type: secret, choices: [PROD_KEY, GONE], required: true}}
"""
    name = defined(fleet, tmp_path / "uses.yaml", text)

    done = call(fleet, "submit", "--definition", name, "-P", "key=PROD_KEY", "--wait")
    other = call(fleet, "submit", "--definition", name, "-P", "key=OTHER")
    gone = call(fleet, "submit", "--definition", name, "-P", "key=GONE", "--wait")

    assert done.stdout.split() == [str(len(SECRET)), str(len(SECRET) + len("pg://me:@db"))]
    assert "one of PROD_KEY, GONE" in other.stderr
    assert gone.returncode != 0
    assert "GONE" in gone.stderr
    shown = json.dumps(answer(fleet, "definition", "show", name))
    assert SECRET not in shown + worker.log() + done.stdout + done.stderr


def test_a_definition_of_an_installed_packages_kind_gives_its_settings_the_values(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    install(packages)
    fleet.settings["PYTHONPATH"] = str(packages)
    monkeypatch.setenv("PYTHONPATH", str(packages))
    fleet.worker()
    text = "kind: countdown\nconfig: {from: '${params.from}'}\nparameters: {from: {type: integer, default: 7}}\n"
    name = defined(fleet, tmp_path / "count.yaml", text)

    done = call(fleet, "submit", "--definition", name, "-P", "from=3", "--wait")
    usual = call(fleet, "submit", "--definition", name, "--wait")
    refused = call(fleet, "submit", "--definition", name, "-P", "from=three")

    assert (done.stdout, done.returncode) == ("3\n", 0), done.stderr
    assert usual.stdout == "7\n"
    assert "parameter from: 'three' is not accepted" in refused.stderr
