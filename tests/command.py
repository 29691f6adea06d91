"""Calls the command line as users do: a process of its own, with a home of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


def environment(home: Path, **more: str) -> dict[str, str]:
    """Give an environment without any setting of the surroundings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SCRIPTFLEET_", "FLOWER_"))}
    return {**kept, "SCRIPTFLEET_HOME": str(home), **more}


def start(*words: str, home: Path, **more: str) -> "subprocess.Popen[str]":
    """Start `scriptfleet` with these words, in its home where that is there: what it leaves is left there."""
    command = [sys.executable, "-m", "scriptfleet", *words]
    env = environment(home, **more)
    return subprocess.Popen(
        command,
        env=env,
        cwd=home if home.is_dir() else ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def scriptfleet(*words: str, home: Path, stdin: str = "", **more: str) -> "subprocess.CompletedProcess[str]":
    """Call `scriptfleet` and wait for its end."""
    process = start(*words, home=home, **more)
    try:
        out, err = process.communicate(stdin, timeout=60)
    finally:
        process.kill()
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def one_line(result: "subprocess.CompletedProcess[str]") -> str:
    """Give the error of a call, which is one line, never a traceback."""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("scriptfleet: ")
    return lines[0]
