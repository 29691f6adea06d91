"""A Python that was built for old systems too has no posix_spawn that starts sessions: it is done without."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from scriptfleet.execution import launching
from scriptfleet.execution.shim.spawn import spawn
from tests.eventually import eventually


@pytest.fixture(autouse=True)
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.posix_spawn

    def of_old(*words: Any, **options: Any) -> int:
        if options.get("setsid"):
            raise NotImplementedError("posix_spawn: setsid unavailable on this platform")
        return real(*words, **options)

    monkeypatch.setattr(os, "posix_spawn", of_old)


def test_a_launcher_is_started_and_leads_a_session_all_the_same() -> None:
    started = launching.start("one", inherit_stdio=False)
    try:
        eventually(lambda: os.getsid(started.pid) == started.pid)
    finally:
        started.end()


def test_a_script_is_started_in_a_session_of_its_own(tmp_path: Path) -> None:
    code = "import os; print(os.getsid(0) == os.getpid(), os.getcwd())"
    request = {
        "argv": [sys.executable, "-c", code],
        "env": {},
        "cwd": str(tmp_path),
        "stdin": "null",
        "limits": {},
        "is_warm": False,
        "isolation": None,
    }
    before, out = Path.cwd(), tmp_path / "out"
    try:
        with out.open("wb") as file:
            pid, _ = spawn(request, file.fileno(), file.fileno())
            os.waitpid(pid, 0)
    finally:
        os.chdir(before)

    assert out.read_text() == f"True {tmp_path}\n"
