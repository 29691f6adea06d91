"""`scriptfleet top` on a fleet, once and in a terminal."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.command import environment, scriptfleet
from tests.eventually import eventually
from tests.fleet_parts import Fleet

BUSY = """
import os
from scriptfleet import report
report.progress(0.5, "half \\x1b[2Jway")
ballast = bytearray(48 << 20)
while not os.path.exists(os.environ["GO"]):
    pass
"""


def settings(fleet: Fleet) -> dict[str, Any]:
    found = {name: value for name, value in fleet.environment.items() if name.startswith("SCRIPTFLEET_")}
    return {**found, "SCRIPTFLEET_HOME": str(fleet.home)}


def call(fleet: Fleet, *words: str) -> str:
    return scriptfleet(*words, home=fleet.home, **settings(fleet)).stdout


def test_a_look_shows_what_runs_and_what_it_takes(fleet: Fleet, tmp_path: Path) -> None:
    fleet.worker()
    go = tmp_path / "go"
    job_id = call(fleet, "submit", "--name", "busy \x1b[31mone", "--code", BUSY, "--env", f"GO={go}").strip()

    def seen() -> Any:
        found = json.loads(call(fleet, "top", "--json"))
        return found[0] if found and (found[0]["memory_mb"] or 0) > 48 and found[0]["progress"] else False

    job = eventually(seen, within=60)
    shown = call(fleet, "top")

    assert (job["job_id"], job["progress"], job["processes"]) == (job_id, 0.5, 1)
    assert job["elapsed_seconds"] > 0
    assert "1 running · 1 worker, " in shown
    assert job_id[:8] in shown
    assert "50%" in shown
    assert "\x1b" not in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert json.loads(call(fleet, "top", "--json", "--queue", "other")) == []

    text = in_terminal(fleet)
    assert text.startswith("\x1b[?1049h")
    assert text.count("\x1b[H") >= 2
    assert job_id[:8] in text
    assert text.rstrip().endswith("\x1b[?25h\x1b[?1049l")
    go.touch()
    eventually(lambda: "nothing runs" in call(fleet, "top", "--once"), within=60)


def in_terminal(fleet: Fleet) -> str:
    """Let it run in a terminal for two looks, then interrupt it; give what the terminal got."""
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "scriptfleet", "top", "--interval", "200ms"]
    process = subprocess.Popen(
        command, stdin=inner, stdout=inner, stderr=inner, env=environment(fleet.home, **settings(fleet))
    )
    os.close(inner)
    seen = b""
    until = time.monotonic() + 30
    asked = False
    while time.monotonic() < until:
        if not select.select([outer], [], [], 1)[0]:
            continue
        try:
            piece = os.read(outer, 65536)
        except OSError:
            # The terminal's other end is gone with the process.
            break
        seen += piece
        if seen.count(b"\x1b[H") >= 2 and not asked:
            asked = True
            process.send_signal(signal.SIGINT)
    os.close(outer)
    assert process.wait(60) == 0, seen
    return seen.decode()
