"""The machine's processes where there is no /proc: as ps(1) lists them, which every system has."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Set

_PS = ("/bin/ps", "/usr/bin/ps")
_READ = 65_536


class Listed:
    """One process."""

    def __init__(self, pid: int, parent: int, group: int) -> None:
        self.pid, self.parent, self.group = pid, parent, group


def listed() -> list[Listed]:
    """List all processes that have not ended. Raises OSError where there is no ps."""
    found = []
    for line in _run_ps().splitlines():
        pid, parent, group, state = line.split(None, 3)
        if not state.startswith(b"Z"):
            found.append(Listed(int(pid), int(parent), int(group)))
    return found


def below(root: int, groups: Set[int], table: Iterable[Listed]) -> set[int]:
    """Give what descends from ``root``, is in one of the groups, or descends from one that is; not ``root`` itself."""
    children: dict[int, list[int]] = {}
    for one in table:
        children.setdefault(one.parent, []).append(one.pid)
    found: set[int] = set()
    waiting = children.get(root, []) + [one.pid for one in table if one.group in groups]
    while waiting:
        pid = waiting.pop()
        if pid not in found and pid != root:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def has_group(group: int) -> bool:
    """Tell whether a process group has members, perhaps such as have ended and were not waited for yet."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _run_ps() -> bytes:
    """Give ps's listing, without ps itself. All its columns but the last are POSIX, and that one every system has."""
    program = next((path for path in _PS if os.access(path, os.X_OK)), _PS[0])
    read_end, write_end = os.pipe()
    columns = ("pid=", "ppid=", "pgid=", "stat=")
    argv = [program, "-A", *(word for column in columns for word in ("-o", column))]
    try:
        actions = [(os.POSIX_SPAWN_DUP2, write_end, 1)]
        pid = os.posix_spawn(program, argv, {"LC_ALL": "C"}, file_actions=actions)
    finally:
        os.close(write_end)
    pieces = []
    with os.fdopen(read_end, "rb") as listing:
        while piece := listing.read(_READ):
            pieces.append(piece)
    os.waitpid(pid, 0)
    own = str(pid).encode()
    return b"\n".join(line for line in b"".join(pieces).splitlines() if line.split(None, 1)[0] != own)
