"""The folder of one embedded fleet: who holds it, where things lie, and what other terminals read about it."""

import fcntl
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scriptfleet.config import FLEET_FILE, read_fleet_file
from scriptfleet.errors import InvalidValue, ScriptfleetError

#: The kernel takes 107 bytes for a socket's path.
_LONGEST_SOCKET_PATH: Final = 100
#: A fleet that was killed leaves its server to end by itself; so long is waited for that.
_LEFTOVER_SECONDS: Final = 10.0


class HomeInUse(ScriptfleetError):
    """Another fleet is up in this folder."""

    def __init__(self, home: Path, pid: str) -> None:
        self.home, self.pid = home, pid
        who = f" (process {pid})" if pid else ""
        super().__init__(
            f"a fleet is up already in {home}{who}: stop it there, or set SCRIPTFLEET_HOME to another folder"
        )


class Home:
    """The folder, held by this process."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder, self.lock = folder, lock

    @property
    def redis_folder(self) -> Path:
        """Where the broker keeps its append-only file."""
        return _made(self.folder / "redis")

    def log_file(self, name: str) -> Path:
        """Give the log of a process."""
        return _made(self.folder / "log") / f"{name}.log"

    def write_fleet_file(self, facts: dict[str, str | int]) -> None:
        """Tell other terminals of this user where the fleet is; they never see half of it."""
        target = self.folder / FLEET_FILE
        draft = target.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(facts, file)
        draft.replace(target)

    def remove_fleet_file(self) -> None:
        """Tell other terminals that there is no fleet."""
        (self.folder / FLEET_FILE).unlink(missing_ok=True)

    @contextmanager
    def socket_path(self) -> Iterator[Path]:
        """Give a path for the broker's socket, in a folder of this user alone."""
        path = _made(self.folder / "run") / "redis.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="scriptfleet-") as folder:
            yield Path(folder) / "redis.sock"


@contextmanager
def held(folder: Path) -> Iterator[Home]:
    """Hold the folder for one fleet. Raises HomeInUse, InvalidValue."""
    try:
        _made(folder)
        lock = os.open(folder / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        what = f"a folder that this user can write ({fault.strerror or fault})"
        raise InvalidValue("SCRIPTFLEET_HOME", str(folder), what) from fault
    try:
        _lock(lock, folder)
        home = Home(folder, lock)
        # What a killed fleet left would lead other terminals astray.
        home.remove_fleet_file()
        try:
            yield home
        finally:
            home.remove_fleet_file()
    finally:
        os.close(lock)


def _lock(lock: int, folder: Path) -> None:
    deadline = time.monotonic() + _LEFTOVER_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = read_fleet_file(folder).get("pid", "")
            if _is_alive(pid) or time.monotonic() > deadline:
                raise HomeInUse(folder, pid) from None
            threading.Event().wait(0.1)
        else:
            return


def _is_alive(pid: str) -> bool:
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
