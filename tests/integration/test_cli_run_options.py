"""Options of `scriptfleet run` on real processes: hooks, retries, configuration, what the tool says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import EXAMPLES, environment, one_line, scriptfleet

QUIET = ("run", "--quiet", "--disable-history")


def test_a_command_before_runs_first_and_what_it_prints_is_not_the_scripts(tmp_path: Path) -> None:
    result = scriptfleet(*QUIET, "--before", "echo ready > flag; echo told", "--shell", "cat flag", home=tmp_path)

    assert (result.stdout, result.stderr) == ("ready\n", "told\n")


def test_when_the_command_before_fails_the_script_is_not_started(tmp_path: Path) -> None:
    result = scriptfleet("run", "--before", "exit 3", "--shell", "touch ran", home=tmp_path)

    assert result.returncode == 125
    assert "--before ended with exit code 3: exit 3: the script was not started" in one_line(result)
    assert list(tmp_path.iterdir()) == []


def test_the_command_after_knows_how_it_ended(tmp_path: Path) -> None:
    after = (
        'echo "$SCRIPTFLEET_OUTCOME $SCRIPTFLEET_EXIT_CODE $SCRIPTFLEET_WALL_SECONDS" > told; cp $SCRIPTFLEET_RECORD r'
    )

    result = scriptfleet(*QUIET, "--after", after, "--shell", "exit 7", home=tmp_path)

    outcome, code, wall = (tmp_path / "told").read_text().split()
    record = json.loads((tmp_path / "r").read_text())
    assert result.returncode == 7
    assert (outcome, code) == ("failed", "7")
    assert float(wall) == record["execution_time_seconds"]


def test_the_record_that_is_written_anyway_is_the_one_the_command_after_gets(tmp_path: Path) -> None:
    words = ["--json-output", "cost.json", "--after", "echo $SCRIPTFLEET_RECORD", "--shell", "true"]

    result = scriptfleet(*QUIET, *words, home=tmp_path)

    assert result.stderr == f"{tmp_path / 'cost.json'}\n"


@pytest.mark.parametrize(("after", "code"), [("exit 9", 9), ("kill -TERM $$", 143)])
def test_a_command_after_that_fails_is_told_and_changes_no_exit_code(after: str, code: int, tmp_path: Path) -> None:
    result = scriptfleet(*QUIET, "--after", after, "--shell", "exit 5", home=tmp_path)

    assert result.returncode == 5
    assert f"--after ended with exit code {code}" in one_line(result)


def test_only_the_errors_that_are_named_are_tried_again(tmp_path: Path) -> None:
    words = ["--json", "--retry", "3", "--retry-delay", "0", "--retry-on-errors", "ConnectionError,75"]

    other = json.loads(scriptfleet("run", *words, "--code", "raise ValueError('no')", home=tmp_path).stdout)
    named = json.loads(scriptfleet("run", *words, "--code", "raise ConnectionError('no')", home=tmp_path).stdout)
    by_code = json.loads(scriptfleet("run", *words, "--shell", "exit 75", home=tmp_path).stdout)

    assert [result["attempts"] for result in (other, named, by_code)] == [1, 4, 4]


def test_no_attempt_begins_once_the_time_for_them_has_gone(tmp_path: Path) -> None:
    words = ["--retry", "5", "--retry-delay", "30s", "--retry-max-time", "20s", "--shell", "exit 1"]

    assert json.loads(scriptfleet("run", "--json", *words, home=tmp_path).stdout)["attempts"] == 1


def test_options_win_over_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("retry: {max_attempts: 5, initial_delay: 0}\ndatabase: {path: from_file.db}\n")
    words = ["--json", "--config", "c.yaml", "--shell", "exit 1"]

    from_file = json.loads(scriptfleet("run", *words, home=tmp_path).stdout)
    from_option = json.loads(
        scriptfleet("run", "--retry", "1", "--history-db", "mine.db", *words, home=tmp_path).stdout
    )

    assert (from_file["attempts"], from_option["attempts"]) == (5, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.yaml", "from_file.db", "mine.db"]


@pytest.mark.parametrize(
    ("level", "has_cost", "has_remark", "has_warning"),
    [
        ("DEBUG", True, True, True),
        ("info", True, False, True),
        ("WARNING", False, False, True),
        ("ERROR", *[False] * 3),
    ],
)
def test_the_log_level_says_how_much_the_tool_says(
    level: str, has_cost: bool, has_remark: bool, has_warning: bool, tmp_path: Path
) -> None:
    words = ["--disable-history", "--log-level", level, "--after", "exit 1", "--shell", "true"]

    said = scriptfleet("run", *words, home=tmp_path).stderr

    assert ("succeeded · exit 0" in said, "begins" in said, "--after ended" in said) == (
        has_cost,
        has_remark,
        has_warning,
    )


def test_a_run_may_have_a_clean_environment_and_another_interpreter(tmp_path: Path) -> None:
    code = "import os; print('HOME' in os.environ, 'MARK' in os.environ, os.environ['ADDED'])"

    clean = scriptfleet(
        *QUIET, "--clean-env", "--env", "ADDED=1", "--interpreter", "python3", "--code", code, home=tmp_path, MARK="x"
    )
    without = scriptfleet(*QUIET, "--exclude-env", "MA*", "--env", "ADDED=2", "--code", code, home=tmp_path, MARK="x")

    assert (clean.stdout, without.stdout) == ("True False 1\n", "True False 2\n")


def test_readings_are_as_dense_as_asked(tmp_path: Path) -> None:
    words = ["--json", "--disable-history", "--monitor-interval", "0.05", str(EXAMPLES / "sleeps.py"), "1"]

    assert json.loads(scriptfleet("run", *words, home=tmp_path).stdout)["metrics"]["memory_avg_mb"] is not None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--config", "none.yaml", "x.py"], "a file that can be read"),
        (["--history-db", "/no/such/folder/h.db", "--shell", "true"], "a folder that exists"),
        (["--history-db", "h.db", "--disable-history", "--shell", "true"], "not allowed with"),
        (["--monitor-interval", "0", "--shell", "true"], "from 10ms to 1h"),
        (["--log-level", "LOUD", "--shell", "true"], "'DEBUG', 'INFO', 'WARNING', 'ERROR'"),
        (["--retry-strategy", "soon", "--shell", "true"], "exponential_jitter"),
        (["--retry-delay", "1s", "--shell", "true"], "--retry N beside it"),
        (["--retry-multiplier", "x", "--shell", "true"], "expected a number"),
        (["--cleanup-old", "0"], "from 1"),
        (["--db-stats", "x.py"], "no script to run"),
        (["--show-history", "x.py", "more"], "no script to run"),
        (["--history-limit", "3", "--shell", "true"], "--show-history beside it"),
        (["--secret", "not a name", "--shell", "true"], "do not begin with a digit"),
        (["--read-only", "here", "--shell", "true"], "an absolute path"),
        (["--interpreter", "python3", "--shell", "true"], "interpreter"),
    ],
)
def test_bad_options_are_one_line_with_exit_code_2(words: list[str], told: str, tmp_path: Path) -> None:
    result = scriptfleet("run", *words, home=tmp_path)

    assert result.returncode == 2
    assert told in one_line(result)


def test_a_database_address_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("database: {url: 'mysql://user:pass@host/db'}")

    result = scriptfleet("run", "--config", "c.yaml", "--shell", "true", home=tmp_path)

    assert result.returncode == 2
    assert "database.url: 'mysql'" in one_line(result)


def test_a_secret_that_is_nowhere_is_told(tmp_path: Path) -> None:
    result = scriptfleet("run", "--secret", "NOT_THERE", "--shell", "true", home=tmp_path)

    assert result.returncode == 125
    assert "secret NOT_THERE is not" in result.stderr


def test_out_of_memory_is_tried_again_with_more_of_it_also_here(tmp_path: Path) -> None:
    words = ["--json", "--memory", "40M", "--retry", "4", "--retry-delay", "0", "--oom-memory-factor", "10"]
    code = "import time; held = b'x' * (150 << 20); time.sleep(0.4)"

    result = scriptfleet("run", *words, "--oom-memory-max", "400M", "--code", code, home=tmp_path)

    said = json.loads(result.stdout)
    assert (said["outcome"], said["attempts"], said["metrics"]["memory_limit_mb"]) == ("succeeded", 2, 400)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--retry", "2", "--oom-queue", "big"], "scriptfleet submit --oom-queue"),
        (["--retry", "2", "--oom-memory-factor", "2"], "a memory limit beside it"),
        (["--memory", "1G", "--oom-memory-factor", "2"], "--retry N beside it"),
        (["--retry", "1", "--memory", "1G", "--oom-memory-factor", "1"], "oom_memory_factor"),
    ],
)
def test_a_rule_for_out_of_memory_that_cannot_be_is_refused(words: list[str], said: str, tmp_path: Path) -> None:
    result = scriptfleet("run", *words, "--shell", "true", home=tmp_path)

    assert result.returncode == 2
    assert said in one_line(result)


def test_measures_that_cannot_be_written_are_told_with_the_file_after_a_run_that_is_told(tmp_path: Path) -> None:
    words = ["--json-output", "/dev/full", "--after", "test -s $SCRIPTFLEET_RECORD && echo kept", "--shell", "true"]

    done = scriptfleet("run", *words, home=tmp_path)

    assert done.returncode == 125
    *told, last = done.stderr.strip().splitlines()
    assert last.startswith("scriptfleet: --json-output: '/dev/full' was not written: No space left on device")
    assert any("succeeded" in line for line in told)
    assert "kept" in told


def at_full(redirection: str, tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    """Run a script with a stream of this tool's where nothing can be written."""
    command = f"{sys.executable} -m scriptfleet run --shell 'echo x; echo y >&2; exit 3' {redirection}"
    return subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False
    )


def test_output_that_cannot_be_written_is_told_and_the_script_goes_on(tmp_path: Path) -> None:
    done = at_full(">/dev/full", tmp_path)

    assert done.returncode == 3
    assert "scriptfleet: the output could not be written: No space left on device" in done.stderr
    assert "y\n" in done.stderr


def test_a_run_whose_cost_cannot_be_told_answers_with_its_exit_code_all_the_same(tmp_path: Path) -> None:
    done = at_full("2>/dev/full", tmp_path)

    assert (done.returncode, done.stdout) == (3, "x\n")
