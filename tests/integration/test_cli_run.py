"""`scriptfleet run`: no server, real processes."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import EXAMPLES, ROOT, environment, one_line, scriptfleet, start

AWKWARD = ["a b", 'q"q', "it's", "two\nlines", "--timeout", "-x", "--", "", "*", "ü", "$HOME"]


@pytest.fixture
def echo(tmp_path: Path) -> str:
    path = tmp_path / "echo.py"
    path.write_text("import json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    return str(path)


def test_arguments_with_spaces_quotes_and_newlines_arrive_untouched(echo: str, tmp_path: Path) -> None:
    result = scriptfleet("run", "--quiet", echo, *AWKWARD, home=tmp_path)

    assert json.loads(result.stdout) == AWKWARD
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--shell", "exit 0"], 0),
        (["--shell", "exit 7"], 7),
        (["--shell", "kill -KILL $$"], 137),
        (["--timeout", "0.3", "--grace", "0.2", "--shell", "sleep 30"], 124),
        (["--memory", "40M", str(EXAMPLES / "eats_memory.py"), "200", "20"], 137),
        ([str(EXAMPLES / "fails.py")], 1),
    ],
)
def test_the_exit_code_is_the_scripts_or_stands_for_the_outcome(words: list[str], code: int, tmp_path: Path) -> None:
    assert scriptfleet("run", *words, home=tmp_path).returncode == code


def test_both_streams_pass_through_and_the_cost_goes_to_stderr(tmp_path: Path) -> None:
    result = scriptfleet("run", "--name", "talk", "--shell", "echo out; echo err >&2", home=tmp_path)

    assert result.stdout == "out\n"
    assert result.stderr.startswith("err\n")
    assert "talk: succeeded · exit 0 · wall " in result.stderr


def test_a_script_may_read_standard_input(tmp_path: Path) -> None:
    result = scriptfleet("run", "--quiet", "--shell", "tr a-z A-Z", home=tmp_path, stdin="hello\n")

    assert result.stdout == "HELLO\n"


def test_with_json_nothing_but_the_result_is_on_stdout(tmp_path: Path) -> None:
    result = scriptfleet("run", "--json", "--code", "print('hi'); raise ValueError('no')", home=tmp_path)

    said = json.loads(result.stdout)
    assert (said["outcome"], said["exit_code"], said["stdout"]) == ("failed", 1, "hi\n")
    assert said["metrics"]["error_type"] == "ValueError"
    assert result.returncode == 1


def test_the_measures_are_written_to_a_file(tmp_path: Path) -> None:
    cost = tmp_path / "cost.json"

    scriptfleet("run", "--json-output", str(cost), str(EXAMPLES / "forks_children.py"), "4", "0.1", home=tmp_path)

    measures = json.loads(cost.read_text())
    assert measures["success"] is True
    assert measures["user_time_seconds"] + measures["system_time_seconds"] >= 0.4


def test_a_folder_runs_where_it_lies_with_its_data_and_arguments(tmp_path: Path) -> None:
    result = scriptfleet("run", "--quiet", str(EXAMPLES / "sales_report"), "east", home=tmp_path)

    assert "total         516 units     7,835.05 EUR" in result.stdout


def test_output_that_is_not_utf_8_passes_and_is_replaced_in_json(tmp_path: Path) -> None:
    result = scriptfleet("run", "--json", "--shell", r"printf 'a\377b\n'", home=tmp_path)

    assert json.loads(result.stdout)["stdout"] == "a\ufffdb\n"


def test_an_interrupt_ends_the_script_and_answers_130(tmp_path: Path) -> None:
    process = start("run", "--grace", "1s", str(EXAMPLES / "sleeps.py"), "30", home=tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "30 s to go\n"

    process.send_signal(signal.SIGINT)

    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "cancelled" in err


def test_a_reader_that_leaves_early_causes_no_complaint(tmp_path: Path) -> None:
    with start("completion", "bash", home=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()

        assert process.stderr.read() == ""
        assert process.wait(60) == 141


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["/no/such/script.py"], "No such file"),
        (["/dev"], "main.py"),
        (["--shell", ""], "not empty"),
        (["--timeout", "-5", "x.py"], "expected a time"),
        (["--memory", "12", "x.py"], "expected a size"),
        (["--json-output", "/no/such/folder/x.json", "--shell", "true"], "a folder that exists"),
        (["--frobnicate", "x.py"], "--frobnicate"),
        ([], "a SCRIPT"),
        ([str(ROOT / "README.md")], "ends in .py"),
    ],
)
def test_bad_input_is_one_line_with_exit_code_2(words: list[str], told: str, tmp_path: Path) -> None:
    result = scriptfleet("run", *words, home=tmp_path)

    assert result.returncode == 2
    assert told in one_line(result)


def test_a_script_of_100_megabytes_is_refused_with_the_limit(tmp_path: Path) -> None:
    large = tmp_path / "large.py"
    with large.open("wb") as file:
        file.truncate(100_000_000)

    result = scriptfleet("run", str(large), home=tmp_path)

    assert result.returncode == 2
    assert "at most 33,554,432 bytes" in one_line(result)


@pytest.mark.parametrize("closed", ["1", "2", "0", "0 1 2"])
def test_closed_standard_streams_change_nothing_but_what_is_seen(closed: str, tmp_path: Path) -> None:
    """As a service or a shell's ``>&-`` may have closed them."""
    program = (
        "import os, sys; [os.close(int(fd)) for fd in sys.argv[1].split()]; os.execv(sys.executable, sys.argv[2:])"
    )
    words = ["--disable-history", "--json-output", "measures.json", "--shell", "echo out; echo err >&2; exit 3"]
    command = [sys.executable, "-c", program, closed, sys.executable, "-m", "scriptfleet", "run", *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False)

    found = json.loads((tmp_path / "measures.json").read_text())
    assert (done.returncode, found["exit_code"], found["stdout_size_bytes"], found["stderr_size_bytes"]) == (3, 3, 4, 4)
    assert done.stdout == ("" if "1" in closed else "out\n")
    assert "Traceback" not in done.stderr
    assert ("err\n" in done.stderr) == ("2" not in closed)


@pytest.mark.parametrize(
    ("words", "code", "out"), [(["--quiet", "--code", "print('told')"], 0, "told\n"), (["--no-such-option"], 2, "")]
)
def test_whoever_starts_it_may_ignore_the_ends_of_children(
    words: list[str], code: int, out: str, tmp_path: Path
) -> None:
    # A process whose children are waited for by nobody passes that on; waiting for one then fails at its end.
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    called = [sys.executable, "-m", "scriptfleet", "run", *words]
    command = [sys.executable, "-c", ignoring, *called]
    done = subprocess.run(
        command, env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert "Traceback" not in done.stderr
    assert (done.returncode, done.stdout) == (code, out)


@pytest.mark.parametrize("options", [["--quiet"], ["--log-level", "ERROR"]])
def test_a_script_that_could_not_start_is_told_also_where_no_cost_is_shown(options: list[str], tmp_path: Path) -> None:
    result = scriptfleet("run", *options, "--working-dir", str(tmp_path / "none"), "--shell", "true", home=tmp_path)

    assert result.returncode == 1
    assert "working folder" in result.stderr
    assert scriptfleet("run", *options, "--shell", "exit 3", home=tmp_path).stderr == ""
