"""Why a run ended is told from who ended it, how the process ended, and what it said last."""

import pytest

from scriptfleet.domain.outcome import StopReason, Verdict, judge, signal_name
from scriptfleet.domain.state import State

TRACEBACK = """Traceback (most recent call last):
  File "a.py", line 1, in <module>
ValueError: no such thing: 7
"""


def test_exit_code_zero_succeeds() -> None:
    assert judge(0, None, None, "", "a warning\n") == Verdict(State.SUCCEEDED)


def test_an_exit_code_fails_with_the_last_line_it_said() -> None:
    verdict = judge(3, None, None, "", "first\nlast words\n\n")

    assert verdict == Verdict(State.FAILED, "ExitCode", "exit code 3: last words")


def test_an_exit_code_without_a_word_fails_by_its_number() -> None:
    assert judge(3, None, None, "", "").error_message == "exit code 3"


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ("ValueError: no such thing", "ValueError"),
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("package.errors.Broken: it broke", "package.errors.Broken"),
        ("not an exception at all", "ExitCode"),
    ],
)
def test_a_python_exception_is_read_from_its_traceback(last: str, kind: str) -> None:
    assert judge(1, None, None, "", TRACEBACK + last).error_type == kind


def test_a_line_like_an_exception_without_a_traceback_is_none() -> None:
    assert judge(1, None, None, "", "ValueError: only said\n").error_type == "ExitCode"


def test_a_very_long_last_line_is_cut() -> None:
    message = judge(1, None, None, "", "x" * 10_000).error_message

    assert message is not None
    assert len(message) < 600


@pytest.mark.parametrize(("signum", "name"), [(9, "SIGKILL"), (11, "SIGSEGV"), (15, "SIGTERM"), (64, "SIGRTMAX")])
def test_a_signal_fails_by_its_name(signum: int, name: str) -> None:
    assert judge(128 + signum, signum, None, "", "").error_type == name


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    assert signal_name(50) == "signal 50"


@pytest.mark.parametrize(
    ("reason", "outcome", "kind"),
    [
        (StopReason.TIMEOUT, State.TIMED_OUT, "Timeout"),
        (StopReason.CANCELLED, State.CANCELLED, "Cancelled"),
        (StopReason.MEMORY, State.OUT_OF_MEMORY, "MemoryLimit"),
        (StopReason.CPU_TIME, State.FAILED, "CpuTimeLimit"),
        (StopReason.PROCESSES, State.FAILED, "ProcessLimit"),
        (StopReason.LEASE, State.LOST, "WorkerLost"),
        (StopReason.SHUTDOWN, State.LOST, "WorkerDrained"),
    ],
)
def test_who_ended_a_run_decides_over_how_it_ended(reason: StopReason, outcome: State, kind: str) -> None:
    verdict = judge(0, None, reason, "the bound", "")

    assert (verdict.outcome, verdict.error_type) == (outcome, kind)
    assert (verdict.error_message or "").endswith(": the bound")


def test_every_reason_to_stop_has_a_verdict() -> None:
    assert all(judge(143, 15, reason, "", "").outcome is not State.SUCCEEDED for reason in StopReason)
