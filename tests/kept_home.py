"""A home in which `run --warm` leaves interpreters, and what is there of them."""

import json
import os
import subprocess
import textwrap
from pathlib import Path
from typing import Any

from tests.command import scriptfleet


class Home:
    """A home of its own, with the scripts and interpreters in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path / "warm"

    def run(self, code: str, *options: str, stdin: str = "", **env: str) -> "subprocess.CompletedProcess[str]":
        script = self.script(code)
        return scriptfleet("run", "--quiet", "--disable-history", *options, script, home=self.path, stdin=stdin, **env)

    def warm(self, code: str, *options: str, stdin: str = "", **env: str) -> "subprocess.CompletedProcess[str]":
        return self.run(code, "--warm", *options, stdin=stdin, **env)

    def script(self, code: str) -> str:
        path = self.path / "script.py"
        path.write_text(textwrap.dedent(code))
        return str(path)

    def kept(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(scriptfleet("warm", "ls", "--json", home=self.path).stdout)
        return found

    def pid(self) -> int:
        (one,) = self.kept()
        return int(one["pid"])

    def socket(self) -> str:
        (name,) = [name for name in os.listdir(self.folder) if not name.startswith("lock-")]
        return str(self.folder / name)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
