"""Loggers that load the library late say the same as any other."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from scriptfleet import late_log

ROOT = Path(next(iter(sys.modules["scriptfleet"].__path__))).parent

PROGRAM = """
import sys
from scriptfleet.cli.tool_log import listen, log
from scriptfleet.late_log import late_log
listen(sys.argv[1], False)
print("logging" in sys.modules)
log.debug("attempt %d", 1)
print("logging" in sys.modules)
late_log("scriptfleet.engine").warning("no_group reason=%s", "none")
log.error("it ended")
"""


def _said(level: str) -> tuple[str, str]:
    command = [sys.executable, "-S", "-c", PROGRAM, level]
    done = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    ("level", "loaded", "said"),
    [
        ("DEBUG", "False\nTrue\n", ["attempt 1", "no_group reason=none", "it ended"]),
        ("INFO", "False\nFalse\n", ["no_group reason=none", "it ended"]),
        ("ERROR", "False\nFalse\n", ["it ended"]),
    ],
)
def test_the_library_is_set_up_when_something_is_to_be_said(level: str, loaded: str, said: list[str]) -> None:
    assert _said(level) == (loaded, "".join(f"scriptfleet: {line}\n" for line in said))


def test_without_a_set_up_a_logger_is_the_librarys_own(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A command that another test ran in this process may have left its own.
    monkeypatch.setattr(late_log._SET_UP, "pending", None)
    with caplog.at_level(logging.DEBUG, "a.b"):
        late_log.late_log("a.b").debug("seen=%d", 3)

    assert caplog.record_tuples == [("a.b", logging.DEBUG, "seen=3")]
    assert late_log.late_log("a.b").isEnabledFor(logging.ERROR)
