"""A warm start gives what a fresh interpreter would: nothing of its launcher, of its shim or of the run before."""

import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from scriptfleet.domain.state import State
from scriptfleet.execution.shelf import RUNS_PER_WARM_SHIM, Shelves
from tests.engine_bench import Bench

WARM = {"warm": True, "preload": ["decimal"]}


def warm_and_cold(bench: Bench, code: str, args: tuple[str, ...] = ()) -> tuple[str, str]:
    code = textwrap.dedent(code)
    warm, cold = bench.python(code, args, **WARM), bench.python(code, args)
    assert warm.outcome is State.SUCCEEDED, warm.stderr.text
    return warm.stdout.text, cold.stdout.text


@pytest.mark.parametrize(
    "code",
    [
        "import os, sys; print(sys.argv[1:], __name__, sys.path[0] == os.path.dirname(__file__))",
        "import os; print(sorted(name for name in os.environ if not name.startswith('SCRIPTFLEET_')))",
        "import os; print(sorted(os.listdir('/proc/self/fd')))",
        "import signal; print([signal.getsignal(n) for n in (2, 13, 15, 17)])",
        "import sys; print(sys.stdout.encoding, sys.stderr.errors, sys.stdin.read())",
        "import os; print(os.getsid(0) == os.getpid(), os.path.basename(os.getcwd()))",
        "import pickle; exec('class A: pass'); print(type(pickle.loads(pickle.dumps(A()))).__module__)",
        """
        import multiprocessing
        child = multiprocessing.Process(target=print, args=("child",))
        child.start()
        child.join()
        print(child.exitcode)
        """,
        "import atexit, threading; atexit.register(print, 'bye'); threading.Timer(0.1, print, ['late']).start()",
        "import os, sys; print(sys.orig_argv[2:], __builtins__, __annotations__, sys.stdout, sys.stdin.mode)",
    ],
)
def test_a_warm_script_sees_what_a_cold_one_sees(bench: Bench, code: str) -> None:
    warm, cold = warm_and_cold(bench, code, ("a b", "--x"))

    assert warm == cold


def test_how_long_a_warm_script_took_to_its_first_line_is_told(bench: Bench) -> None:
    usage = bench.python("import time; time.sleep(0.2)", **WARM).usage
    assert usage.start_overhead_seconds
    assert usage.execution_time_seconds
    assert 0 < usage.start_overhead_seconds <= usage.execution_time_seconds - 0.2


@pytest.mark.parametrize(("code", "wish"), [("pass", {}), ("no python", WARM)])
def test_a_first_line_that_nobody_saw_or_that_never_came_is_not_told(
    bench: Bench, code: str, wish: dict[str, Any]
) -> None:
    assert bench.python(code, **wish).usage.start_overhead_seconds is None


@pytest.mark.parametrize(
    "code",
    [
        "file = open(left, 'w'); file.write('all of it')",
        "import decimal; decimal.file = open(left, 'w'); decimal.file.write('all of it')",
        "import zipfile; archive = zipfile.ZipFile(left, 'w'); archive.writestr('name', 'all of it')",
        """
        import signal
        class Open:
            def __del__(self): file.write("closed")
        one, file = Open(), open(left, "w")
        one.itself = one
        signal.signal(signal.SIGTERM, lambda *_: None)
        raise SystemExit
        """,
    ],
)
def test_what_a_script_leaves_open_is_written_and_closed_at_its_end(bench: Bench, tmp_path: Path, code: str) -> None:
    left = [tmp_path / "warm", tmp_path / "cold"]
    code = f"import sys; left = sys.argv[1]\n{textwrap.dedent(code)}"

    bench.python(code, (str(left[0]),), **WARM)
    bench.python(code, (str(left[1]),))

    assert left[0].stat().st_size == left[1].stat().st_size > 0


def test_what_a_thread_that_goes_on_uses_is_there_until_the_end(bench: Bench) -> None:
    code = """
    import threading, sys
    class Slow:
        def __del__(self): go.set(); done.wait(10); print("slow")
    def late(): go.wait(); print(sys.argv[1:]); done.set()
    go, done = threading.Event(), threading.Event()
    threading.Thread(target=late, daemon=True).start()
    slow = Slow()
    del slow
    """
    warm, cold = warm_and_cold(bench, code)

    assert warm == cold == "[]\nslow\n"


def test_what_was_preloaded_is_there_and_what_a_run_imported_is_gone(bench: Bench) -> None:
    assert bench.python("import sys; print('decimal' in sys.modules)", **WARM).stdout.text == "True\n"
    bench.python("import fractions, os; os.environ['LEFT'] = '1'; import builtins; builtins.left = 1", **WARM)

    after = (
        "import sys, os, builtins; print('fractions' in sys.modules, 'LEFT' in os.environ, hasattr(builtins, 'left'))"
    )
    assert bench.python(after, **WARM).stdout.text == "False False False\n"


def test_random_numbers_differ_from_run_to_run(bench: Bench) -> None:
    code = "import random; print(random.random())"

    drawn = {bench.python(code, warm=True, preload=["random"]).stdout.text for _ in range(3)}

    assert len(drawn) == 3


@pytest.mark.parametrize(
    ("code", "exit_code", "stderr"),
    [
        ("raise ValueError('no')", 1, "ValueError: no"),
        ("import sys; sys.exit('told')", 1, "told"),
        ("import sys; sys.exit(9)", 9, ""),
        ("def broken(:", 1, "SyntaxError"),
        ("import os; os.kill(os.getpid(), 9)", 137, ""),
        ("import os; os._exit(3)", 3, ""),
        ("import sys; sys.excepthook = lambda *_: sys.exit(4); raise KeyError", 4, ""),
        ("import sys; sys.stdout.close(); sys.stderr = None", 0, ""),
    ],
)
def test_warm_scripts_end_as_cold_ones_do(bench: Bench, code: str, exit_code: int, stderr: str) -> None:
    warm, cold = bench.python(code, **WARM), bench.python(code)

    assert (warm.usage.exit_code, warm.usage.error_type) == (exit_code, cold.usage.error_type)
    assert stderr in warm.stderr.text
    assert "shim" not in warm.stderr.text


def test_limits_and_timeouts_hold_for_warm_runs(bench: Bench) -> None:
    slow = bench.python("import time; time.sleep(60)", timeout=0.3, grace=0.2, **WARM)
    heavy = bench.python("import time; x = b'x' * (150 << 20); time.sleep(60)", limits={"memory_mb": 64}, **WARM)

    assert slow.outcome is State.TIMED_OUT
    assert heavy.outcome is State.OUT_OF_MEMORY


def test_a_module_that_cannot_be_preloaded_rejects_the_job_by_name(bench: Bench) -> None:
    record = bench.python("print(1)", warm=True, preload=["no_such_module"])

    assert record.outcome is State.REJECTED
    assert "no_such_module" in (record.usage.error_message or "")


def test_a_shim_is_let_go_after_its_time() -> None:
    shelves = Shelves(inherit_stdio=False, env={"PATH": "/usr/bin:/bin"})
    try:
        shelf = shelves.of(("decimal",))
        first = shelf.take()
        first.runs = RUNS_PER_WARM_SHIM - 2
        shelf.give_back(first, is_sound=True)
        assert shelf.take() is first
        shelf.give_back(first, is_sound=True)
        fresh = shelf.take()
        assert fresh is not first
        shelf.give_back(fresh, is_sound=True)
    finally:
        shelves.close()


def test_warm_interpreters_are_replaced_when_installed_packages_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "site-packages"
    packages.mkdir()
    monkeypatch.setattr("scriptfleet.execution.shelf._LOOK_SECONDS", 0.0)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(packages))
    shelves = Shelves(inherit_stdio=False, env={"PATH": "/usr/bin:/bin"})
    try:
        before = shelves.of(())
        assert shelves.of(()) is before
        (packages / "new_package").mkdir()
        assert shelves.of(()) is not before
    finally:
        shelves.close()


def test_the_launcher_of_warm_shims_is_this_interpreter(bench: Bench) -> None:
    warm, cold = warm_and_cold(bench, "import sys; print(sys.executable, sys.version, sys.prefix)")

    assert warm == cold
    assert sys.prefix in warm
