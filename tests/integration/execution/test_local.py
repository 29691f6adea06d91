"""The same record with no server: on this machine, in this folder, with what this person may see."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scriptfleet import JobSpec, State
from scriptfleet.execution.local import run_local
from scriptfleet.queues.drafts import of_code, of_script
from tests.eventually import eventually


def run_script(path: Path, *args: str) -> dict[str, object]:
    record = run_local(of_script(path, args, 10_000).spec, script=path, echo=False)
    assert record.outcome is State.SUCCEEDED, record
    return {"text": record.stdout.text, "worker": record.worker, "attempt": record.attempt}


def test_a_python_script_runs_where_the_user_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_OWN", "kept")
    script = tmp_path / "a.py"
    script.write_text("import os, sys; print(os.getcwd(), os.environ['MY_OWN'], sys.argv[0], sys.argv[1])")

    said = run_script(script, "x y")
    assert said == {"text": f"{tmp_path} kept {script} x y\n", "worker": "local", "attempt": 1}


def test_a_shell_script_runs_the_same_way(tmp_path: Path) -> None:
    script = tmp_path / "a.sh"
    script.write_text('printf "%s|" "$@"')

    assert run_script(script, "a b", "", "c")["text"] == "a b||c|"


def test_a_function_runs_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sums.py").write_text("def add(a, b): return {'sum': a + b}")
    monkeypatch.chdir(tmp_path)
    config = {"module": "sums", "function": "add", "args": [1], "kwargs": {"b": 2}}

    assert run_local(JobSpec("python_function", "add", config), echo=False).output_data == {"sum": 3}


PROGRAM = """
import json, sys
from pathlib import Path
from scriptfleet.execution.local import run_local
from scriptfleet.queues.drafts import of_script
script = Path(sys.argv[1])
record = run_local(of_script(script, (), 10_000, grace=10).spec, script=script)
print(json.dumps([str(record.outcome), record.usage.exit_code, record.stdout.text]), file=sys.stderr)
"""


def started(script: Path) -> "subprocess.Popen[bytes]":
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(script)], stdin=pipe, stdout=pipe, stderr=pipe)


def test_output_is_passed_on_and_input_arrives(tmp_path: Path) -> None:
    script = tmp_path / "a.py"
    script.write_text("import sys; print('got', sys.stdin.readline().strip())")
    with started(script) as process:
        stdout, stderr = process.communicate(b"a line\n", timeout=60)

    assert stdout == b"got a line\n"
    assert json.loads(stderr) == ["succeeded", 0, "got a line\n"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_command_ends_the_script_politely(tmp_path: Path, signum: signal.Signals) -> None:
    script = tmp_path / "a.sh"
    script.write_text("trap 'echo bye; exit 4' TERM; sleep 60 & echo ready; wait")
    with started(script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signum)
        stdout, stderr = process.communicate(timeout=60)

    assert stdout == b"bye\n"
    assert json.loads(stderr) == ["cancelled", 4, "ready\nbye\n"]


def test_a_second_signal_does_not_wait_for_the_grace(tmp_path: Path) -> None:
    script = tmp_path / "a.sh"
    script.write_text("trap 'echo deaf' TERM; echo ready; while true; do sleep 0.05; done")
    with started(script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"deaf\n"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)

    assert json.loads(stderr.splitlines()[-1])[:2] == ["cancelled", 137]


def test_no_folder_of_the_run_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    script = tmp_path / "a.py"
    script.write_text("print(1)")
    run_local(of_code("print(1)", (), 1_000).spec, script=script, echo=False)

    assert list((tmp_path / "temp").iterdir()) == []


def test_a_reader_that_stands_still_does_not_keep_the_time_limit_from_holding(tmp_path: Path) -> None:
    script = tmp_path / "a.py"
    script.write_text("while True: print('x' * 1000)")
    program = PROGRAM.replace("grace=10", "grace=0.2, timeout=1.0")
    told = tmp_path / "told"
    with told.open("wb") as stderr:
        process = subprocess.Popen([sys.executable, "-c", program, str(script)], stdout=subprocess.PIPE, stderr=stderr)
    try:
        # Nobody reads until the script is gone.
        eventually(lambda: marks(script) == [], within=60)
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()

    assert json.loads(told.read_text())[0] == "timed_out"


def marks(script: Path) -> list[str]:
    """Give the processes that run the script, once the first has been seen."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(script).encode() in words[1:3] and b"-c" not in words:
            found.append(folder.name)
    _SEEN.update(found)
    return found if _SEEN else ["not started yet"]


_SEEN: set[str] = set()
