"""What a plain ``scriptfleet run`` loads: all of it is waited for by every short script."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.eventually import eventually

#: Some installers' own script of the command loads more before it calls the entry point.
PROGRAM = ["-c", "import sys; from scriptfleet.cli.main import entry; sys.exit(entry())"]

#: Large, and wanted by other verbs and jobs alone.
FOREIGN = {
    *("redis", "sqlalchemy", "alembic", "msgspec", "celery", "kombu", "fastapi", "psutil", "rich", "yaml", "pynvml"),
    *("asyncio", "ctypes", "email", "http.client", "importlib.metadata", "multiprocessing", "ssl"),
    *("bz2", "dataclasses", "hashlib", "inspect", "logging", "lzma", "platform", "shutil", "socket", "tempfile"),
    *("argparse", "gettext", "graphlib", "json", "locale", "random", "shlex", "subprocess", "traceback"),
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


#: What a run needs once its script has started, and loads then: the script takes as long to start.
LATER = {
    *("datetime", "heapq", "select", "signal"),
    *(
        "scriptfleet.cli.screen",
        "scriptfleet.domain.process_tree",
        "scriptfleet.domain.run",
        "scriptfleet.domain.usage",
    ),
    *("scriptfleet.execution.cgroups.group", "scriptfleet.execution.conclude", "scriptfleet.execution.ended"),
    *("scriptfleet.execution.monitor", "scriptfleet.execution.plain_file", "scriptfleet.execution.reported"),
}
#: What a library of the tests does while it is loaded.
WAITS = "open(os.environ['LOADING'], 'w').close(); open(os.environ['GATE'])"
#: Loaded when a run's program is sought, last before the script is started.
LAST_BEFORE = "scriptfleet.execution.executors.interpreter"


def _loaded_by(tmp_path: Path, *options: str) -> list[str]:
    """Run a trivial script; give the modules that this process loaded for it, in their order."""
    script = tmp_path / "trivial.py"
    script.write_text("pass")
    command = [sys.executable, "-X", "importtime", *PROGRAM, "run", "--quiet", *options, str(script)]
    env = os.environ | {"SCRIPTFLEET_HOME": str(tmp_path)}
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    return [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]


def _among(loaded: Sequence[str], listed: set[str]) -> set[str]:
    return {name for name in loaded if any(name == one or name.startswith(f"{one}.") for one in listed)}


def test_a_plain_run_loads_nothing_that_only_other_verbs_and_jobs_need(tmp_path: Path) -> None:
    loaded = _loaded_by(tmp_path, "--disable-history")

    assert "scriptfleet.execution.pipeline" in loaded
    assert _among(loaded, FOREIGN | OWN) == set()


def test_what_starts_the_script_is_started_before_all_else_is_loaded(tmp_path: Path) -> None:
    loaded = _loaded_by(tmp_path, "--disable-history")

    assert loaded.index("scriptfleet.execution.launching") < loaded.index("collections")


def test_what_follows_the_start_of_a_script_is_loaded_while_it_runs(tmp_path: Path) -> None:
    loaded = _loaded_by(tmp_path, "--disable-history")
    start = loaded.index(LAST_BEFORE)

    assert _among(loaded[:start], LATER) == set()
    assert _among(loaded[start:], LATER) >= LATER


def test_no_annotation_is_a_text_that_is_compiled_while_a_run_loads(tmp_path: Path) -> None:
    # The first of them makes the interpreter set up its whole syntax tree, which takes 3 ms.
    (tmp_path / "trivial.py").write_text("pass")
    watch = (
        "import sys\n"
        "def told(event, words):\n"
        "    if event == 'compile' and sys._getframe(1).f_code.co_filename.endswith('typing.py'): print(words[0])\n"
        "sys.addaudithook(told)\n"
        "from scriptfleet.cli.main import entry\n"
        "entry()"
    )
    command = [sys.executable, "-c", watch, "run", "--quiet", "--disable-history", "trivial.py"]

    assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout == ""


@pytest.mark.parametrize(
    ("words", "code"), [(["--help"], 0), (["--no-such-option"], 2), (["no-such-script.py"], 2), (["--db-stats"], 125)]
)
def test_a_call_that_runs_nothing_leaves_nothing_running(tmp_path: Path, words: list[str], code: int) -> None:
    # What starts scripts holds the output of who started it, so this would wait for it.
    command = [sys.executable, *PROGRAM, "run", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, "Traceback" in done.stderr) == (code, False)


def test_history_adds_the_file_and_its_rows_alone(tmp_path: Path) -> None:
    loaded = _loaded_by(tmp_path, "--history-db", str(tmp_path / "history.db"))

    added = {"json", "sqlite3", "scriptfleet.cli.run_history", "scriptfleet.storage"}
    assert loaded.index("scriptfleet.storage") > loaded.index(LAST_BEFORE)
    assert _among(loaded, (FOREIGN | OWN) - added) == set()


def test_what_is_listed_of_ours_is_there() -> None:
    root = Path(sys.modules["scriptfleet"].__path__[0]).parent
    gone = [name for name in OWN if not list(root.glob(f"{name.replace('.', '/')}*"))]

    assert gone == []


@pytest.mark.parametrize("at", ["keyword", "threading"])
@pytest.mark.parametrize("waits", [WAITS, f"class Named:\n  def __set_name__(*_): {WAITS}\nclass _: named = Named()"])
def test_an_interrupt_while_the_command_still_loads_ends_it_without_a_traceback(
    tmp_path: Path, at: str, waits: str
) -> None:
    # A library that is loaded early, or late, and waits for a reader who never comes; also while it makes a class.
    (tmp_path / f"{at}.py").write_text(f"import os\n{waits}\n")
    gate, loading, script = tmp_path / "gate", tmp_path / "loading", tmp_path / "trivial.py"
    os.mkfifo(gate)
    script.write_text("print('never')")
    env = os.environ | {"PYTHONPATH": str(tmp_path), "GATE": str(gate), "LOADING": str(loading)}
    command = [sys.executable, *PROGRAM, "run", "--disable-history", script]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        eventually(loading.exists)
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate()

    assert (process.returncode, said, complained) == (130, "", "scriptfleet: interrupted\n")
