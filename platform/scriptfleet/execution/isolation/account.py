"""The user that a run is to be: looked up on this machine, and given what is the run's."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from scriptfleet.errors import InvalidValue
from scriptfleet.execution.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str

    @property
    def identity(self) -> tuple[int, int, tuple[int, ...]]:
        """Its numbers."""
        return self.uid, self.gid, self.groups

    @property
    def env(self) -> dict[str, str]:
        """The variables that tell a program who it is."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name, "SHELL": self.shell}

    def may_enter(self, folder: Path) -> bool:
        """Tell whether its mode lets this user pass through a folder."""
        found = folder.stat()
        if found.st_uid == self.uid:
            return bool(found.st_mode & 0o100)
        return bool(found.st_mode & (0o010 if found.st_gid in self.groups else 0o001))


def find_account(name: str) -> Account:
    """Look a user up. Raises InvalidValue when this machine has none of that name."""
    try:
        found = pwd.getpwnam(name)
    except KeyError as fault:
        raise InvalidValue("isolation.user", name, "the name of a user of the worker's machine") from fault
    groups = tuple(os.getgrouplist(name, found.pw_gid))
    return Account(name, found.pw_uid, found.pw_gid, groups, found.pw_dir, found.pw_shell)


def closed_folder(folder: Path, account: Account) -> Path | None:
    """Give the topmost folder on the way to ``folder`` that the user may not enter, or None."""
    return next((place for place in reversed(folder.parents) if not account.may_enter(place)), None)


def hand_over(workspace: Workspace, account: Account, result: Path | None) -> None:
    """Give the run's files to its user. Raises OSError.

    The folder itself stays ours, and so does the kept output: a script that could put a link in the place of a file
    that the worker reads at the end would read any file of the machine.
    """
    workspace.folder.chmod(0o711)
    if result is not None:
        result.touch(mode=0o600)
    for entry in workspace.folder.iterdir():
        if entry not in (workspace.stdout, workspace.stderr):
            _chown_all(entry, account)


def _chown_all(entry: Path, account: Account) -> None:
    os.chown(entry, account.uid, account.gid, follow_symlinks=False)
    if entry.is_dir() and not entry.is_symlink():
        for inner in entry.iterdir():
            _chown_all(inner, account)
