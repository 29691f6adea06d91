"""Started as a process by the file_operation executor: one operation, one line on what was done.

What is written appears whole or not at all: it is made under another name beside its place, then renamed.
"""

import errno
import json
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

from scriptfleet import report
from scriptfleet.errors import ScriptfleetError
from scriptfleet.execution.confined import Confined, Spot
from scriptfleet.execution.executors.file_copy import Copied, copy_beside, discard, fresh_name, write_beside

_AS_IT_IS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Refused(ScriptfleetError):
    """The operation does not fit what is there."""


def main() -> None:
    """Read the call that is named last on the command line, do it, and answer with the exit code."""
    call = json.loads(Path(sys.argv[-1]).read_text())
    config = call["operation"]
    confined = Confined(tuple(Path(root) for root in call["roots"]))
    try:
        done = _OPERATIONS[config["operation"]](confined, config, config.get("options", {}))
    except OSError as fault:
        _fail(f"cannot {config['operation']}: {fault.filename or _shown(config)}: {fault.strerror or fault}")
    except ScriptfleetError as fault:
        _fail(f"cannot {config['operation']}: {fault}")
    report.metric("file.files", done.files)
    report.metric("file.bytes", done.size_bytes)
    print(f"{config['operation']} {_shown(config)}: {done.files} files, {done.size_bytes} bytes")  # noqa: T201


def _copy(confined: Confined, config: dict[str, Any], options: dict[str, Any]) -> Copied:
    with confined.spot(config["source"]) as source:
        found = source.status()
        if found is None:
            return _missing(source, options)
        if stat.S_ISDIR(found.st_mode) and not options.get("recursive"):
            raise _Refused(f"{source.path} is a folder: set recursive")
        with confined.spot(config["destination"]) as target:
            return _copied(source, target, options)


def _move(confined: Confined, config: dict[str, Any], options: dict[str, Any]) -> Copied:
    with confined.spot(config["source"]) as source:
        if source.status() is None:
            return _missing(source, options)
        with confined.spot(config["destination"]) as target:
            _check_apart(source, target)
            try:
                _put(source.name, source.folder_fd, target, options)
            except OSError as fault:
                if fault.errno != errno.EXDEV:
                    raise
                # Another file system: a rename cannot reach it.
                done = _copied(source, target, options)
                discard(source.name, source.folder_fd)
                return done
            _set_mode(target, options)
            return Copied(1, 0)


def _delete(confined: Confined, config: dict[str, Any], options: dict[str, Any]) -> Copied:
    with confined.spot(config["source"]) as source:
        found = source.status()
        if found is None:
            return _missing(source, options)
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(source.name, dir_fd=source.folder_fd)
        elif options.get("recursive"):
            shutil.rmtree(source.name, dir_fd=source.folder_fd)
        else:
            os.rmdir(source.name, dir_fd=source.folder_fd)
        return Copied(1, 0)


def _create(confined: Confined, config: dict[str, Any], options: dict[str, Any]) -> Copied:
    path = config["destination"]
    with confined.spot(path, make_folders=bool(options.get("recursive"))) as target:
        if path.endswith("/"):
            return _create_folder(target, options)
        content = str(options.get("content", "")).encode()
        fresh = write_beside(target, content, _mode(options) or 0o644)
        _put_or_discard(fresh, target, options)
        return Copied(1, len(content))


def _create_folder(target: Spot, options: dict[str, Any]) -> Copied:
    if "content" in options or "overwrite" in options:
        raise _Refused(f"{target.path}/ is to be a folder: it has neither content nor overwrite")
    os.mkdir(target.name, dir_fd=target.folder_fd)
    _set_mode(target, options)
    return Copied(1, 0)


def _copied(source: Spot, target: Spot, options: dict[str, Any]) -> Copied:
    _check_apart(source, target)
    if target.status() is not None and not options.get("overwrite"):
        raise _exists(target)
    fresh, done = copy_beside(source, target)
    _set_mode(Spot(target.folder_fd, fresh, target.path), options)
    _put_or_discard(fresh, target, options)
    return done


def _put_or_discard(fresh: str, target: Spot, options: dict[str, Any]) -> None:
    try:
        _put(fresh, target.folder_fd, target, options)
    except BaseException:
        discard(fresh, target.folder_fd)
        raise


def _put(name: str, folder_fd: int, target: Spot, options: dict[str, Any]) -> None:
    """Give what lies under ``name`` its place, over what is there only when told to."""
    made, found = os.stat(name, dir_fd=folder_fd, follow_symlinks=False), target.status()
    if found is not None and not options.get("overwrite"):
        raise _exists(target)
    if found is not None and (stat.S_ISDIR(made.st_mode) or stat.S_ISDIR(found.st_mode)):
        aside = fresh_name(target.name)
        os.rename(target.name, aside, src_dir_fd=target.folder_fd, dst_dir_fd=target.folder_fd)
        os.rename(name, target.name, src_dir_fd=folder_fd, dst_dir_fd=target.folder_fd)
        discard(aside, target.folder_fd)
    elif found is None and stat.S_ISREG(made.st_mode):
        _put_new_file(name, folder_fd, target)
    else:
        os.rename(name, target.name, src_dir_fd=folder_fd, dst_dir_fd=target.folder_fd)


def _put_new_file(name: str, folder_fd: int, target: Spot) -> None:
    try:
        # A link refuses what somebody else has put there since; a rename would write over it.
        os.link(name, target.name, src_dir_fd=folder_fd, dst_dir_fd=target.folder_fd, follow_symlinks=False)
    except OSError as fault:
        if fault.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}:
            raise
        # A file system without links.
        os.rename(name, target.name, src_dir_fd=folder_fd, dst_dir_fd=target.folder_fd)
    else:
        os.unlink(name, dir_fd=folder_fd)


def _check_apart(source: Spot, target: Spot) -> None:
    if target.path == source.path or target.path.startswith(f"{source.path}/"):
        raise _Refused(f"{target.path} is {source.path} or lies in it: name another destination")


def _set_mode(target: Spot, options: dict[str, Any]) -> None:
    mode, found = _mode(options), target.status()
    if mode is not None and found is not None and not stat.S_ISLNK(found.st_mode):
        fd = os.open(target.name, _AS_IT_IS, dir_fd=target.folder_fd)
        try:
            os.fchmod(fd, mode)
        finally:
            os.close(fd)


def _mode(options: dict[str, Any]) -> int | None:
    return int(options["mode"], 8) if "mode" in options else None


def _missing(source: Spot, options: dict[str, Any]) -> Copied:
    if options.get("missing_ok"):
        return Copied(0, 0)
    raise _Refused(f"{source.path} does not exist: set missing_ok if that is no fault")


def _exists(target: Spot) -> _Refused:
    return _Refused(f"{target.path} is there already: set overwrite to replace it")


def _shown(config: dict[str, Any]) -> str:
    return " to ".join(config[name] for name in ("source", "destination") if name in config)


def _fail(message: str) -> NoReturn:
    print(message, file=sys.stderr)  # noqa: T201
    sys.exit(1)


_OPERATIONS = {"copy": _copy, "move": _move, "delete": _delete, "create": _create}
