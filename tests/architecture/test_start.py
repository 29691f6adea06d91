"""What a plain ``scriptfleet run`` loads: all of it is waited for by every short script."""

import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.eventually import eventually

PROGRAM = Path(sysconfig.get_path("scripts"), "scriptfleet")

#: Large, and wanted by other verbs and jobs alone.
FOREIGN = {
    *("redis", "sqlalchemy", "alembic", "celery", "kombu", "fastapi", "psutil", "rich", "yaml", "pynvml"),
    *("asyncio", "ctypes", "email", "http.client", "importlib.metadata", "multiprocessing", "ssl"),
    *("bz2", "dataclasses", "hashlib", "inspect", "logging", "lzma", "platform", "shutil", "socket", "tempfile"),
    *("graphlib", "random", "shlex", "traceback"),
    *("concurrent.futures", "sqlite3", "sysconfig", "tarfile", "unittest", "urllib.request", "uuid", "xml"),
}
#: Ours that only some jobs need; folders with all that is in them.
OWN = {
    *("scriptfleet.cli.config_file", "scriptfleet.cli.look_back", "scriptfleet.cli.run_history"),
    *(
        "scriptfleet.execution.artifacts",
        "scriptfleet.execution.cgroups.find",
        "scriptfleet.execution.cgroups.version1",
    ),
    *("scriptfleet.execution.cgroups.version2", "scriptfleet.execution.confined", "scriptfleet.execution.isolation"),
    *("scriptfleet.execution.executors.file_operation", "scriptfleet.execution.executors.http_request"),
    *("scriptfleet.execution.executors.python_function", "scriptfleet.execution.executors.shell"),
    *("scriptfleet.execution.monitor.portable", "scriptfleet.execution.plugins"),
    *("scriptfleet.execution.secret_sources.command", "scriptfleet.execution.secret_sources.folder"),
    *("scriptfleet.queues.bundle", "scriptfleet.queues.client", "scriptfleet.results", "scriptfleet.storage"),
}


def _loaded_by(tmp_path: Path, *options: str) -> set[str]:
    """Run a trivial script; give the modules that this process loaded for it."""
    script = tmp_path / "trivial.py"
    script.write_text("pass")
    command = [sys.executable, "-X", "importtime", str(PROGRAM), "run", "--quiet", *options, str(script)]
    env = os.environ | {"SCRIPTFLEET_HOME": str(tmp_path)}
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def _among(loaded: set[str], listed: set[str]) -> set[str]:
    return {name for name in loaded if any(name == one or name.startswith(f"{one}.") for one in listed)}


def test_a_plain_run_loads_nothing_that_only_other_verbs_and_jobs_need(tmp_path: Path) -> None:
    loaded = _loaded_by(tmp_path, "--disable-history")

    assert "scriptfleet.execution.pipeline" in loaded
    assert _among(loaded, FOREIGN | OWN) == set()


def test_history_adds_the_file_and_its_rows_alone(tmp_path: Path) -> None:
    loaded = _loaded_by(tmp_path, "--history-db", str(tmp_path / "history.db"))

    added = {"sqlite3", "scriptfleet.cli.run_history", "scriptfleet.storage"}
    assert "scriptfleet.storage.local_history" in loaded
    assert _among(loaded, (FOREIGN | OWN) - added) == set()


def test_what_is_listed_of_ours_is_there() -> None:
    root = Path(sys.modules["scriptfleet"].__path__[0]).parent
    gone = [name for name in OWN if not list(root.glob(f"{name.replace('.', '/')}*"))]

    assert gone == []


@pytest.mark.parametrize("at", ["argparse", "heapq"])
def test_an_interrupt_while_the_command_still_loads_ends_it_without_a_traceback(tmp_path: Path, at: str) -> None:
    # A library that is loaded early, or late, and waits for a reader who never comes.
    (tmp_path / f"{at}.py").write_text(
        "import os\nopen(os.environ['LOADING'], 'w').close()\nopen(os.environ['GATE'])\n"
    )
    gate, loading, script = tmp_path / "gate", tmp_path / "loading", tmp_path / "trivial.py"
    os.mkfifo(gate)
    script.write_text("print('never')")
    env = os.environ | {"PYTHONPATH": str(tmp_path), "GATE": str(gate), "LOADING": str(loading)}
    command = [PROGRAM, "run", "--disable-history", script]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        eventually(loading.exists)
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate()

    assert (process.returncode, said, complained) == (130, "", "scriptfleet: interrupted\n")
