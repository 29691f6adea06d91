"""Executors of installed packages: found by entry point, loaded when asked for; a bad one keeps nobody else back."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scriptfleet.errors import InvalidValue
from scriptfleet.execution import executor

PLUGIN = """
from scriptfleet.errors import InvalidValue
from scriptfleet.execution.program import Program, find_program

print("plugin loaded")

class Countdown:
    default_timeout = 7.5
    supports_parallel = False

    def program(self, spec, place):
        return Program([find_program("sh"), "-c", "echo $1", "sh", str(spec.config["from"])])

    def validate(self, config):
        if not isinstance(config.get("from"), int):
            raise InvalidValue("config.from", config.get("from"), "a whole number")

class NoExecutor:
    pass
"""

ENTRY_POINTS = """[scriptfleet.executors]
countdown = countdown_plugin:Countdown
broken = no_such_module:Thing
hollow = countdown_plugin:NoExecutor
shell = countdown_plugin:Countdown
"""


def install(folder: Path) -> None:
    """Make an installed distribution of a plugin, as an installer would leave it."""
    (folder / "countdown_plugin.py").write_text(PLUGIN)
    info = folder / "countdown-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: countdown\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)


def answer_with_plugin(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    install(folder)
    started = f"import sys; sys.path.append({str(folder)!r})\n{program}"
    return subprocess.run([sys.executable, "-c", started], capture_output=True, text=True, check=True, timeout=60)


def test_a_kind_of_an_installed_package_is_checked_and_started(tmp_path: Path) -> None:
    done = answer_with_plugin(
        tmp_path,
        "from scriptfleet.domain.job import JobSpec\n"
        "from scriptfleet.execution.local import run_local\n"
        "from scriptfleet.execution.executor import timeout_of\n"
        "spec = JobSpec('countdown', 'x', {'from': 3})\n"
        "record = run_local(spec, echo=False)\n"
        "print(record.outcome, record.stdout.text.strip(), timeout_of(spec))\n"
        "try:\n    JobSpec('countdown', 'x', {'from': 'three'})\nexcept ValueError as fault:\n    print(fault)\n",
    )

    assert done.stdout.splitlines() == [
        *("plugin loaded", "succeeded 3 7.5"),
        "config.from: 'three' is not accepted: expected a whole number",
    ]


def test_a_bad_plugin_is_named_in_the_log_and_the_rest_goes_on(tmp_path: Path) -> None:
    done = answer_with_plugin(
        tmp_path,
        "import json, logging; logging.basicConfig(format='%(name)s %(message)s')\n"
        "from scriptfleet.execution.executor import executor_kinds\n"
        "print(json.dumps(executor_kinds()))\n",
    )

    kinds = json.loads(done.stdout.splitlines()[-1])
    assert "countdown" in kinds
    assert not {"broken", "hollow"} & set(kinds)
    logged = [line for line in done.stderr.splitlines() if "executor_left_out" in line]
    assert [line.split("kind=")[1].split()[0] for line in logged] == ["broken", "hollow", "shell"]
    assert all("from=countdown (" in line for line in logged)
    assert "No module named 'no_such_module'" in logged[0]


def test_built_in_kinds_are_there_without_loading_any_plugin(tmp_path: Path) -> None:
    done = answer_with_plugin(
        tmp_path,
        "from scriptfleet.domain.job import JobSpec\n"
        "from scriptfleet.execution.executor import executor_of\n"
        "executor_of(JobSpec('shell', 'x', {'command': 'true'}).kind)\n"
        "print('importlib.metadata' in sys.modules)\n",
    )

    assert done.stdout.splitlines() == ["False"]


def test_a_producer_knows_the_kind_without_loading_the_plugin(tmp_path: Path) -> None:
    done = answer_with_plugin(
        tmp_path,
        "from scriptfleet.queues import drafts\n"
        "print(drafts.of_kind('countdown', {'from': 1}).spec.to_json())\n"
        "try:\n    drafts.of_kind('hologram', {})\nexcept ValueError as fault:\n    print(fault)\n",
    )

    assert json.loads(done.stdout.splitlines()[0])["kind"] == "countdown"
    assert "'hologram' is not accepted" in done.stdout.splitlines()[1]


class Idle:
    """An executor that is asked for nothing."""

    def program(self, spec: object, place: object) -> object:
        raise AssertionError


@pytest.mark.parametrize(
    ("name", "more", "field"),
    [
        ("python_script", {}, "kind"),
        ("Not A Kind", {}, "kind"),
        ("idle", {"program": None}, "executor"),
        ("idle", {"default_timeout": 0}, "default_timeout"),
        ("idle", {"default_timeout": "1m"}, "default_timeout"),
        ("idle", {"supports_parallel": 1}, "supports_parallel"),
    ],
)
def test_what_is_no_executor_is_refused_by_name(name: str, more: dict[str, object], field: str) -> None:
    made = type("Made", (Idle,), more)()

    with pytest.raises(InvalidValue) as caught:
        executor.register(name, made)

    assert caught.value.field == field
    assert not executor.has_executor("idle")


def test_a_kind_without_executor_is_refused_by_name() -> None:
    with pytest.raises(InvalidValue, match="hologram"):
        executor.executor_of("hologram")
