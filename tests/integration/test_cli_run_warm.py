"""`scriptfleet run --warm`: an interpreter stays for later calls, and what it forks is as a fresh one would be."""

import contextlib
import ctypes
import json
import os
import pty
import resource
import signal
import sqlite3
import subprocess
import sys
import zipapp
from pathlib import Path
from typing import Any

import pytest

from tests.command import environment, one_line, scriptfleet, start
from tests.eventually import eventually
from tests.kept_home import Home, is_alive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="interpreters are kept on Linux alone")


def test_the_second_call_finds_an_interpreter_that_has_its_modules(home: Home) -> None:
    code = "import sys; print('decimal' in sys.modules, __name__)"

    results = [home.warm(code, "--preload", "decimal,json") for _ in range(3)]

    assert [(one.stdout, one.stderr, one.returncode) for one in results] == [("True __main__\n", "", 0)] * 3
    (kept,) = home.kept()
    assert (kept["runs"], kept["modules"], kept["running"]) == (3, ["decimal", "json"], 0)
    assert (kept["interpreter"], kept["is_answering"]) == (sys.executable, True)
    assert kept["memory_mb"] > 1


FACTS = """
    import json, os, resource, signal, sys
    mask = os.umask(0)
    status = [line for line in open('/proc/self/status') if line.startswith(('Cap', 'Groups', 'SigIgn', 'SigBlk'))]
    print(json.dumps({
        'argv': sys.argv[1:], 'cwd': os.getcwd(), 'umask': mask, 'nice': os.nice(0), 'path': sys.path,
        'limits': [resource.getrlimit(n) for n in range(10)], 'affinity': sorted(os.sched_getaffinity(0)),
        'env': {k: v for k, v in os.environ.items() if k[:12] != 'SCRIPTFLEET_'}, 'stdin': sys.stdin.read(),
        'fds': sorted(os.listdir('/proc/self/fd')), 'session': os.getsid(0) == os.getpid(), 'status': status,
        'memory': open('/proc/self/numa_maps').readline().split()[1] if os.path.exists('/proc/self/numa_maps') else '',
        'cgroup': open('/proc/self/cgroup').read(), 'streams': [sys.stdout.encoding, sys.stderr.errors],
        'signals': [str(signal.getsignal(n)) for n in (1, 2, 3, 13, 15, 17)], 'name': __name__,
        'main': [__file__, __cached__, str(__spec__), type(__loader__).__name__],
    }))
"""


def _facts(home: Home, *options: str, posture: Any = None, **env: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "scriptfleet", "run", "--quiet", "--disable-history", *options]
    words = [*command, home.script(FACTS), "a b", "--warm"]
    folder = home.path / "folder"
    folder.mkdir(exist_ok=True)
    known = environment(home.path, **env)
    done = subprocess.run(
        words, env=known, cwd=folder, preexec_fn=posture, input="said", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _another_posture() -> None:
    os.umask(0o027)
    os.nice(3)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if os.uname().machine == "x86_64":
        # set_mempolicy(2): all memory from the first node.
        ctypes.CDLL(None).syscall(238, 2, ctypes.byref(ctypes.c_ulong(1)), 64)


def test_a_warm_script_finds_what_a_cold_one_of_the_same_command_finds(home: Home) -> None:
    for posture in (None, _another_posture):
        cold = _facts(home, posture=posture)
        assert [_facts(home, "--warm", posture=posture) for _ in range(2)] == [cold, cold]
    # A command that would hand down something else finds none of another's.
    assert sorted(one["runs"] for one in home.kept()) == [2, 2]


def test_what_the_environment_says_to_an_interpreter_holds_for_a_warm_one(home: Home) -> None:
    env = {"PYTHONPATH": "../lib:", "PYTHONSAFEPATH": "1", "PYTHONIOENCODING": "latin-1"}

    assert _facts(home, "--warm", **env) == _facts(home, **env)


def test_a_script_that_is_an_archive_runs_as_well(home: Home) -> None:
    source = home.path / "app" / "__main__.py"
    source.parent.mkdir()
    source.write_text("import sys\nprint(__name__, sys.argv[1:], sys.path[0] == sys.argv[0])\n")
    script = home.path / "app.pyz"
    zipapp.create_archive(source.parent, script, interpreter="/usr/bin/env python3")

    for options in ([], ["--warm"]):
        result = scriptfleet("run", "--quiet", "--disable-history", *options, str(script), "said", home=home.path)
        assert (result.stdout, result.stderr) == ("__main__ ['said'] True\n", "")


def test_a_module_beside_the_script_is_found_before_one_that_was_preloaded(home: Home) -> None:
    (home.path / "decimal.py").write_text("said = 'its own'\n")
    # Those that are built in, and folders without code, come elsewhere in the order.
    (home.path / "time.py").write_text("said = 'never'\n")
    (home.path / "json").mkdir()
    (home.path / "linked").mkdir()
    code = "import decimal, json, os, time; print(decimal.said, os.path.basename(json.__file__), time.time() > 0)"
    link = home.path / "linked" / "script.py"
    link.symlink_to(home.script(code))

    for options in (["--warm", "--preload", "decimal,json"], []):
        result = scriptfleet("run", "--quiet", "--disable-history", *options, str(link), home=home.path)
        assert (result.stdout, result.stderr, result.returncode) == ("its own __init__.py True\n", "", 0)


def test_a_module_that_came_into_the_path_later_is_found_before_one_that_was_preloaded(home: Home) -> None:
    later, code = home.path / "later", "import decimal; print(decimal.__file__)"
    later.mkdir()
    for _ in range(2):
        warm = home.warm(code, "--preload", "decimal", PYTHONPATH=str(later))
        assert warm.stdout == home.run(code, PYTHONPATH=str(later)).stdout
        (later / "decimal.py").write_text("")


def test_a_folder_of_modules_that_came_later_is_found(home: Home) -> None:
    later = home.path / "later"
    code = "import found_later; print('found')"
    assert home.warm(code, PYTHONPATH=str(later)).returncode == 1
    later.mkdir()
    (later / "found_later.py").write_text("")

    assert home.warm(code, PYTHONPATH=str(later)).stdout == "found\n"
    assert [one["runs"] for one in home.kept()] == [2]


@pytest.mark.parametrize("options", [["--env", "WANTED=1"], ["--clean-env"]])
def test_modules_are_imported_in_the_environment_of_the_script(home: Home, options: list[str]) -> None:
    (home.path / "reads.py").write_text("import os\nfound = os.environ.get('WANTED'), os.environ.get('OTHER')\n")
    code = "import os; import reads; print(reads.found == (os.environ.get('WANTED'), os.environ.get('OTHER')))"
    # Where modules lie is part of what --clean-env leaves out.
    options = [*options, "--env", f"PYTHONPATH={home.path}"]

    assert home.warm(code, "--preload", "reads", *options, OTHER="1").stdout == "True\n"
    assert home.warm(code, "--preload", "reads", *options, OTHER="2").stdout == "True\n"


def test_what_names_a_terminal_or_a_session_alone_makes_no_difference(home: Home) -> None:
    code = "import os; print(os.environ['TMUX_PANE'], os.environ['SHLVL'])"

    said = [home.warm(code, TMUX_PANE=f"%{number}", SHLVL=str(number)).stdout for number in (1, 2)]

    assert said == ["%1 1\n", "%2 2\n"]
    assert [one["runs"] for one in home.kept()] == [2]


def test_commands_that_race_share_one_interpreter(home: Home) -> None:
    script = home.script("print('ran')")
    words = ["run", "--quiet", "--disable-history", "--warm", "--preload", "decimal", script]
    processes = [start(*words, home=home.path) for _ in range(4)]

    ends = [(*process.communicate(timeout=60), process.returncode) for process in processes]

    assert ends == [("ran\n", "", 0)] * 4
    assert [one["runs"] for one in home.kept()] == [4]


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("threading.Thread(target=threading.Event().wait, daemon=True).start()", "threads that go on: 1"),
        ("process = subprocess.Popen(['sleep', '30'])", "processes that go on: 1"),
    ],
)
def test_a_module_that_leaves_something_running_is_imported_by_the_script_itself(
    home: Home, code: str, what: str
) -> None:
    (home.path / "busy.py").write_text(f"import subprocess, threading\n{code}\n")
    asked = (
        "import busy, threading; print(threading.active_count(), busy.process.poll() if 'process' in dir(busy) else '')"
    )

    result = home.warm(asked, "--preload", "busy", PYTHONPATH=str(home.path))

    assert result.stdout == home.run(asked, PYTHONPATH=str(home.path)).stdout
    assert what in one_line(result)
    assert home.kept() == []


def test_a_module_that_cannot_be_imported_rejects_the_run_by_name(home: Home) -> None:
    result = home.warm("print('never')", "--preload", "no_such_module")

    assert (result.returncode, result.stdout) == (125, "")
    assert "cannot preload no_such_module" in result.stderr
    assert home.kept() == []


def test_what_was_changed_on_disk_since_is_imported_anew(home: Home) -> None:
    module = home.path / "ours.py"
    for said in ("first", "second one"):
        module.write_text(f"said = {said!r}\n")
        result = home.warm("import ours; print(ours.said)", "--preload", "ours", PYTHONPATH=str(home.path))
        assert result.stdout == f"{said}\n"
    (kept,) = home.kept()
    assert kept["runs"] == 1


def test_what_a_hook_or_an_attempt_changed_is_imported_anew(home: Home) -> None:
    module = home.path / "ours.py"
    module.write_text("said = 'first'\n")
    code = f"""
        import ours, sys
        print(ours.said)
        open({str(module)!r}, "a").write("said += ' more'")
        sys.exit(1)
    """
    options = [
        "--preload",
        "ours",
        "--retry",
        "1",
        "--retry-delay",
        "0.01",
        "--before",
        f"echo \"said = 'hooked'\" > {module}",
    ]
    home.warm("pass", "--preload", "ours", PYTHONPATH=str(home.path))

    assert home.warm(code, *options, PYTHONPATH=str(home.path)).stdout == "hooked\nhooked more\n"


def test_killing_the_command_ends_the_script_and_not_the_interpreter(home: Home) -> None:
    home.warm("pass")
    pid_file = home.path / "pid"
    code = f"""
        import os, subprocess, time
        child = subprocess.Popen(["sleep", "60"])
        with open({str(pid_file)!r}, "w") as file:
            print(os.getpid(), child.pid, file=file)
        time.sleep(60)
    """
    process = start("run", "--warm", home.script(code), home=home.path)
    eventually(lambda: pid_file.is_file() and pid_file.read_text().endswith("\n"))
    process.kill()
    process.communicate()

    for pid in map(int, pid_file.read_text().split()):
        eventually(lambda pid=pid: not is_alive(pid))
    (kept,) = eventually(lambda: [one for one in home.kept() if not one["running"]])
    assert kept["runs"] == 2
    assert Path(f"/proc/{kept['pid']}/task/{kept['pid']}/children").read_text() == ""


def test_ctrl_c_ends_the_script(home: Home) -> None:
    home.warm("pass")
    code = "print('up', flush=True)\nimport time\ntry: time.sleep(60)\nfinally: print('bye', flush=True)"
    process = start("run", "--warm", "--disable-history", home.script(code), home=home.path)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGINT)

    assert process.wait(timeout=30) == 130
    process.communicate()


def test_a_person_is_told_of_a_long_import_and_need_not_wait_for_it(home: Home) -> None:
    (home.path / "slow.py").write_text(
        f"import os, time\nopen({str(home.path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n"
    )
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "scriptfleet", "run", "--warm", "--preload", "slow", home.script("print('never')")]
    env = environment(home.path, PYTHONPATH=str(home.path))
    with subprocess.Popen(command, env=env, cwd=home.path, stdout=subprocess.PIPE, stderr=theirs) as process:
        assert b"importing slow into an interpreter that stays" in os.read(ours, 1000)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    os.close(ours)
    os.close(theirs)
    assert not is_alive(int((home.path / "pid").read_text()))
    assert home.kept() == []


def test_attempts_of_one_call_are_warm_as_well(home: Home) -> None:
    code = "import os, sys; print(os.environ['SCRIPTFLEET_ATTEMPT'], 'decimal' in sys.modules); sys.exit(1)"
    result = home.warm(code, "--preload", "decimal", "--retry", "2", "--retry-delay", "0.01")

    assert result.stdout == "1 True\n2 True\n3 True\n"


def test_measuring_by_readings_alone_works_as_well(home: Home) -> None:
    for _ in range(2):
        result = home.warm("print('ran')", SCRIPTFLEET_MONITOR="sampled")
        assert (result.stdout, result.stderr) == ("ran\n", "")
    assert [one["runs"] for one in home.kept()] == [2]


def test_history_keeps_that_a_run_was_warm(home: Home) -> None:
    kept = home.path / "runs.db"
    scriptfleet("run", "--warm", "--history-db", str(kept), home.script("pass"), home=home.path)
    with contextlib.closing(sqlite3.connect(kept)) as database:
        (spec,) = database.execute("select spec from jobs").fetchone()

    assert json.loads(spec)["warm"] is True


def test_a_terminal_is_the_scripts_own(home: Home) -> None:
    home.warm("pass")
    ours, theirs = pty.openpty()
    script = home.script("import sys; print(sys.stdin.isatty(), input())")
    command = [sys.executable, "-m", "scriptfleet", "run", "--quiet", "--disable-history", "--warm", script]
    os.write(ours, b"typed\n")
    done = subprocess.run(
        command, env=environment(home.path), stdin=theirs, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout == "True typed\n"
    os.close(ours)
    os.close(theirs)


def test_a_run_is_charged_its_own_cost_and_not_that_of_the_import(home: Home) -> None:
    (home.path / "heavy.py").write_text("import time\nwhile time.process_time() < 0.6: pass\n")

    for _ in range(2):
        result = home.warm("import heavy", "--preload", "heavy", "--json", PYTHONPATH=str(home.path))
        metrics = json.loads(result.stdout)["metrics"]
        assert metrics["user_time_seconds"] + metrics["system_time_seconds"] < 0.3


@pytest.mark.parametrize("code", ["import os; os._exit(3)", "raise ValueError('no')", "import sys; sys.exit(3)"])
def test_a_module_that_ends_its_interpreter_is_told(home: Home, code: str) -> None:
    (home.path / "ends.py").write_text(code)

    result = home.warm("print('never')", "--preload", "ends", PYTHONPATH=str(home.path))

    assert (result.returncode, result.stdout) == (125, "")
    assert "cannot preload ends: " in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("options", "code", "exit_code"),
    [
        (["--timeout", "0.3", "--grace", "0.1"], "import time; time.sleep(60)", 124),
        (["--memory", "64M"], "x = b'x' * (150 << 20); import time; time.sleep(60)", 137),
        (["--open-files", "32"], "files = [open('/dev/null') for _ in range(40)]", 1),
        ([], "import sys; sys.exit(7)", 7),
    ],
)
def test_bounds_and_exit_codes_hold(home: Home, options: list[str], code: str, exit_code: int) -> None:
    assert home.warm(code, *options).returncode == exit_code


def test_within_a_run_a_script_starts_cold(home: Home) -> None:
    result = home.warm("import sys; print('decimal' in sys.modules)", "--preload", "decimal", SCRIPTFLEET_RUN_ID="x")

    assert (result.stdout, result.returncode) == ("False\n", 0)
    assert "started_cold reason=inside a run" in one_line(result)


def test_a_script_that_another_interpreter_runs_starts_cold(home: Home) -> None:
    # It is there: what brings the tests brings uv.
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    result = home.warm("# /// script\n# dependencies = []\n# ///\nprint('uv')\n", PATH=path)

    assert "started_cold job=script.py reason=" in result.stderr
    assert home.kept() == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--preload", "json", "x.py"], "--warm beside it"),
        (["--warm", "--preload", "no such", "--code", "1"], "names of Python modules"),
        (["--warm", "--shell", "true"], "a Python job without an interpreter of its own"),
        (["--warm", "--interpreter", "python3", "--code", "1"], "a Python job without an interpreter of its own"),
        (["--warm", "--user", "nobody", "--code", "1"], "a job without isolation"),
        (["--warm", "--no-network", "--code", "1"], "a job without isolation"),
    ],
)
def test_what_does_not_go_with_a_warm_start_is_refused(home: Home, words: list[str], told: str) -> None:
    result = scriptfleet("run", *words, home=home.path)

    assert result.returncode == 2
    assert told in one_line(result)
    assert not home.folder.exists() or home.kept() == []
