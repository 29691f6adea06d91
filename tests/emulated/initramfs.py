"""The root file system of the emulated machine: this Python with its standard library, our sources, and busybox."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

REPO = Path(__file__).parents[2]

#: Of the standard library; nothing that the engine or its checks import.
_LEFT_OUT = (
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "ensurepip",
    "lib2to3",
    "config-*",
)
_APPLETS = ("sh", "mount", "sleep", "true", "cat", "poweroff", "echo")
_FOLDERS = ("bin", "dev", "proc", "sys", "tmp", "root", "etc")
_INIT = """#!/bin/busybox sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmp /tmp
export PATH=/bin HOME=/root PYTHONPATH={sources}/platform:{sources} PYTHONUNBUFFERED=1
{python} -m tests.emulated.inside
poweroff -f
"""


def build(root: Path, image: Path, busybox: str) -> None:
    """Fill the folder ``root`` and pack it into ``image``, which the kernel unpacks at its start."""
    shutil.rmtree(root, ignore_errors=True)
    for name in _FOLDERS:
        (root / name).mkdir(parents=True)
    python = _copy_python(root)
    _copy_sources(root)
    shutil.copy2(busybox, root / "bin" / "busybox")
    for applet in _APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
    (root / "init").write_text(_INIT.format(python=python, sources="/sources"))
    (root / "init").chmod(0o755)
    _pack(root, image)


def _copy_python(root: Path) -> Path:
    """Copy interpreter, library and what both are linked with, each to the place it has here; give the interpreter."""
    python = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    _copy(root, python)
    shutil.copytree(library, _at(root, library), symlinks=True, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    for linked in _linked_with([python, *library.glob("lib-dynload/*.so")]):
        _copy(root, linked)
        # Opened by libc itself when a thread ends.
        if linked.name == "libc.so.6" and (unwinder := linked.with_name("libgcc_s.so.1")).exists():
            _copy(root, unwinder)
    return python


def _copy_sources(root: Path) -> None:
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPO / "platform", root / "sources" / "platform", ignore=skip)
    for name in ("engine_bench.py", "eventually.py", "emulated"):
        source, target = REPO / "tests" / name, root / "sources" / "tests" / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=skip)
        else:
            shutil.copy2(source, target)


def _linked_with(programs: Iterable[Path]) -> set[Path]:
    """Give the shared libraries, and the loader, by the paths under which they are looked for."""
    command = ["ldd", *map(str, programs)]
    listed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout
    return {Path(found) for found in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", listed, re.MULTILINE)}


def _copy(root: Path, path: Path) -> None:
    target = _at(root, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy2(path, target)


def _at(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _pack(root: Path, image: Path) -> None:
    names = "\n".join(sorted(str(path.relative_to(root)) for path in _below(root)))
    with image.open("wb") as packed:
        subprocess.run(
            ["cpio", "--quiet", "-o", "-H", "newc"],
            input=names.encode(),
            stdout=packed,
            cwd=root,
            check=True,
            timeout=120,
        )


def _below(root: Path) -> Iterable[Path]:
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            yield Path(folder, name)
