"""How a run ends is told as it was: exit codes, signals, exceptions, and runs that never started."""

import json
from pathlib import Path

import pytest

from scriptfleet import JobSpec, State
from scriptfleet.execution.engine import Engine
from tests.engine_bench import Bench


def test_a_script_that_ends_well_succeeds(bench: Bench) -> None:
    record = bench.python("print('hello')")

    assert (record.outcome, record.usage.exit_code, record.usage.signal) == (State.SUCCEEDED, 0, None)
    assert record.usage.success is True
    assert record.stdout.text == "hello\n"
    assert (record.usage.error_type, record.usage.error_message) == (None, None)
    assert record.usage.python_version is not None


@pytest.mark.parametrize("code", [1, 2, 7, 124, 137, 255])
def test_an_exit_code_arrives_as_it_was(bench: Bench, code: int) -> None:
    record = bench.shell(f"exit {code}")

    assert (record.outcome, record.usage.exit_code, record.usage.signal) == (State.FAILED, code, None)


@pytest.mark.parametrize(("name", "number"), [("KILL", 9), ("SEGV", 11), ("TERM", 15), ("INT", 2), ("PIPE", 13)])
def test_a_signal_arrives_as_it_was(bench: Bench, name: str, number: int) -> None:
    record = bench.shell(f"kill -{name} $$")

    assert (record.outcome, record.usage.exit_code, record.usage.signal) == (State.FAILED, 128 + number, number)
    assert record.usage.error_type == f"SIG{name}"


def test_an_exception_is_named_with_its_message(bench: Bench) -> None:
    record = bench.python("raise ValueError('no such thing: 7')")

    assert (record.outcome, record.usage.exit_code) == (State.FAILED, 1)
    assert (record.usage.error_type, record.usage.error_message) == ("ValueError", "ValueError: no such thing: 7")


def test_a_working_folder_that_is_missing_keeps_the_run_from_starting(bench: Bench) -> None:
    record = bench.shell("true", working_dir="/no/such/folder")

    assert (record.outcome, record.usage.error_type) == (State.FAILED, "CouldNotStart")
    assert "/no/such/folder" in (record.usage.error_message or "")
    assert record.usage.cpu_avg is None


@pytest.mark.parametrize("limits", [{}, {"open_files": 64}])
def test_an_environment_too_large_for_the_kernel_keeps_the_run_from_starting(
    bench: Bench, limits: dict[str, int]
) -> None:
    record = bench.shell("true", env={f"BIG_{number}": "x" * 131_000 for number in range(80)}, limits=limits)

    assert (record.outcome, record.usage.error_type) == (State.FAILED, "CouldNotStart")
    assert "too long" in (record.usage.error_message or "")
    assert bench.shell("true").outcome is State.SUCCEEDED


def test_a_shell_that_is_not_installed_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    record = bench.shell("true", shell="fish")

    assert record.outcome is State.REJECTED
    assert "fish is not installed" in (record.usage.error_message or "")


def test_a_kind_that_this_version_does_not_know_is_rejected(bench: Bench) -> None:
    spec = JobSpec("shell", "x", {"command": "true"})
    object.__setattr__(spec, "kind", "hologram")

    assert bench.run(spec).outcome is State.REJECTED


AWKWARD = ("two words", 'quo"te', "it's", "line\nbreak", "", "$HOME `id` *", "häßlich 日本 🚀", "--flag", "\\", "\t")


def test_arguments_of_any_kind_arrive_untouched(bench: Bench) -> None:
    record = bench.python("import sys, json; print(json.dumps(sys.argv[1:]))", AWKWARD)

    assert tuple(json.loads(record.stdout.text)) == AWKWARD


def test_arguments_of_a_shell_command_arrive_untouched(bench: Bench) -> None:
    command = 'for one in "$@"; do printf "%s\\0" "$one"; done'
    spec = JobSpec("shell", "x", {"command": command}, args=AWKWARD, env={"BENCH_MARKER": bench.marker})

    assert tuple(bench.run(spec).stdout.text.split("\0")[:-1]) == AWKWARD


def test_a_function_gives_back_what_it_returned(bench: Bench) -> None:
    config = {"module": "json", "function": "loads", "args": ['{"a": [1, null, "ü"]}']}

    assert bench.run(JobSpec("python_function", "x", config)).output_data == {"a": [1, None, "ü"]}


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"module": "json", "function": "loads", "args": ["{"]}, "json.decoder.JSONDecodeError"),
        ({"module": "no_such_module", "function": "f"}, "ModuleNotFoundError"),
        ({"module": "json", "function": "no_such"}, "AttributeError"),
        ({"module": "builtins", "function": "object"}, "TypeError"),
        ({"module": "os", "function": "_exit", "args": [0]}, "ResultMissing"),
    ],
)
def test_a_function_that_gives_no_result_fails_with_the_reason(
    bench: Bench, config: dict[str, object], kind: str
) -> None:
    record = bench.run(JobSpec("python_function", "x", config))

    assert (record.outcome, record.usage.error_type) == (State.FAILED, kind)
    assert record.output_data is None


@pytest.mark.parametrize(
    "put",
    [
        "os.mkfifo(path)",
        "os.symlink('/dev/zero', path)",
        "open(path, 'w').write('[' * 300 + ']' * 300)",
        "open(path, 'w').write('[' * 100_000)",
        "open(path, 'w').write('1' * 2_000_000)",
        "open(path, 'wb').write(bytes([255]))",
    ],
    ids=["a pipe", "a link", "300 levels", "no end of levels", "much", "no text"],
)
def test_what_a_function_puts_in_place_of_its_result_is_told_and_harms_nobody(bench: Bench, put: str) -> None:
    code = f"import json, os, sys\npath = json.load(open(sys.argv[1]))['result']\n{put}\nos._exit(0)"
    record = bench.run(JobSpec("python_function", "x", {"module": "builtins", "function": "exec", "args": [code, {}]}))

    assert (record.outcome, record.usage.error_type) == (State.FAILED, "ResultMissing"), record.stderr.text
    assert record.output_data is None


def test_a_script_runs_in_a_folder_of_its_own_with_nothing_on_its_input(bench: Bench) -> None:
    record = bench.python("import os, sys; print(os.listdir(), repr(sys.stdin.read()), os.getsid(0) == os.getpid())")

    assert record.stdout.text == "[] '' True\n"


def test_a_script_starts_with_the_default_signals_and_no_stray_descriptors(engine: Engine, tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "print(signal.pthread_sigmask(signal.SIG_BLOCK, []), sorted(map(int, os.listdir('/proc/self/fd')))[:-1])\n"
        "print(hex(int(open('/proc/self/status').read().split('SigIgn:')[1].split()[0], 16) & 0x7FFFFFFF))\n"
    )
    for limits in ({}, {"open_files": 64}):
        text = Bench(engine, tmp_path).python(code, limits=limits).stdout.text.splitlines()

        # Python itself ignores SIGPIPE and SIGXFSZ.
        assert text == ["set() [0, 1, 2]", "0x1001000"]
