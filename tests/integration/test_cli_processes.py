"""Processes of the embedded fleet: their logs, and what happens when they end by themselves."""

import signal
import sys
from pathlib import Path

import pytest

from scriptfleet.cli.embedded.process import Process
from scriptfleet.cli.embedded.restarts import Restarts
from scriptfleet.errors import ScriptfleetError
from tests.command import environment
from tests.eventually import eventually


def python(code: str, folder: Path) -> Process:
    return Process("talker", [sys.executable, "-c", code], environment(folder), folder / "talker.log", folder)


def test_a_process_that_ends_again_and_again_is_given_up_with_its_last_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process, restarts = python("print('no luck'); raise SystemExit(3)", tmp_path), Restarts(first_delay_seconds=0.01)
    process.start()

    told_at_last: list[str] = []

    def is_given_up() -> bool:
        try:
            restarts.look_after(process)
        except ScriptfleetError as fault:
            told_at_last.append(str(fault))
        return bool(told_at_last)

    eventually(is_given_up, within=60)
    assert "exit code 3) 6 times in a row" in told_at_last[0]
    told = capsys.readouterr().err
    assert told.count("talker is started again") == 5
    assert "  no luck\n" in told
    process.wait(60)


def test_a_process_stands_apart_from_the_terminals_signals(tmp_path: Path) -> None:
    process = python("import os; print(os.getsid(0) == os.getpid(), flush=True); input()", tmp_path)
    process.start()
    assert process.wait(60)

    assert process.logged().startswith("True\n")


def test_a_process_is_asked_to_end_and_then_killed(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    process = python(deaf, tmp_path)
    process.start()
    eventually(lambda: "up" in process.logged())

    process.ask_to_end()
    ended_by_itself = process.wait(0.3)
    process.kill()

    assert not ended_by_itself
    assert process.exit_code == -signal.SIGKILL


def test_a_long_log_is_set_aside_at_the_start(tmp_path: Path) -> None:
    log = tmp_path / "talker.log"
    log.write_bytes(b"old\n" * 2_000_000)
    process = python("print('new')", tmp_path)

    process.start()
    process.wait(60)

    assert log.read_text() == "new\n"
    assert (tmp_path / "talker.log.1").stat().st_size == 8_000_000
