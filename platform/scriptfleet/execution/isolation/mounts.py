"""Which mounts set a run apart, outer paths first: what is covered, what stays to be seen, what cannot be written."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scriptfleet.domain.isolation import Isolation
from scriptfleet.errors import InvalidValue

TMP: Final = Path("/tmp")  # noqa: S108
_MIB: Final = 1024 * 1024
#: Of steps at one path: what is covered may be shown again, and what is shown again may be read-only.
_ORDER: Final = ("cover", "keep", "read_only")

#: What to do (``cover`` with an empty folder, ``keep`` as it was, ``read_only``), where, options of the mount.
Step = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the files of a run lie."""

    folder: Path
    cwd: Path
    #: Its script, where that does not lie in the folder.
    script: Path | None
    #: Folders of interpreters and of our own programs.
    programs: frozenset[Path]
    #: Folders on the way to these that the run's user may not enter.
    closed: frozenset[Path]


def mount_steps(wanted: Isolation, layout: Layout, memory_mb: float | None) -> list[Step]:
    """Give the mounts in their order. The run's own folder stays visible and writable wherever it lies.

    Raises InvalidValue for a read-only path that this machine does not have.
    """
    covers = _covers(wanted, layout.closed, memory_mb)
    read_only = {_existing(path) for path in wanted.read_only}
    shown = {path for path in _shown(wanted, layout) if _is_below(path, covers)}
    fixed = {path for path in read_only if not _is_at_or_below(path, covers) or _is_below(path, shown)}
    fixed |= {path for path in shown if path != layout.folder and _is_below(path, read_only)}
    kept = shown | ({layout.folder} if _is_below(layout.folder, read_only) else set())
    steps = [("cover", str(path), options) for path, options in covers.items()]
    steps += [("keep", str(path), "") for path in kept]
    steps += [("read_only", str(path), "") for path in fixed]
    return sorted(steps, key=lambda step: (len(Path(step[1]).parts), _ORDER.index(step[0]), step[1]))


def _covers(wanted: Isolation, closed: Iterable[Path], memory_mb: float | None) -> dict[Path, str]:
    # A folder that the user may not enter shows nothing to him: covering it takes nothing away.
    covers = dict.fromkeys(closed, "mode=755")
    if wanted.private_tmp:
        # What lies in it is memory, which the kernel charges to the run only where it has a control group.
        size = "" if memory_mb is None else f",size={int(memory_mb * _MIB)}"
        covers[TMP] = f"mode=1777{size}"
    return {path: options for path, options in covers.items() if not _is_below(path, covers)}


def _shown(wanted: Isolation, layout: Layout) -> list[Path]:
    found = [layout.folder]
    if layout.script is not None:
        found.append(layout.script)
    if wanted.private_tmp and _is_below(layout.cwd, [TMP]) and not _is_below(layout.cwd, [layout.folder]):
        found.append(layout.cwd)
    if wanted.private_tmp:
        # A worker installed below /tmp has its interpreter there.
        found += [path for path in layout.programs if _is_below(path, [TMP])]
    return found


def _existing(path: str) -> Path:
    if not os.path.exists(path):
        raise InvalidValue("isolation.read_only", path, "a path that the worker's machine has")
    return Path(os.path.realpath(path))


def _is_below(path: Path, others: Iterable[Path]) -> bool:
    return any(other in path.parents for other in others)


def _is_at_or_below(path: Path, others: Iterable[Path]) -> bool:
    others = tuple(others)
    return path in others or _is_below(path, others)
