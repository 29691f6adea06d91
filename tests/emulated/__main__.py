"""`python -m tests.emulated`: the engine on control groups v2, for real, in an emulated machine.

Starts Debian's cloud kernel in qemu, without any disk or network, with a root file system made of this Python and
our sources; inside it tests/emulated/inside.py does the checks and says PASS or FAIL of each on the serial line.
Where a part is missing it says which and ends well, unless CI=true is set: then a missing part is a failure.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.emulated.initramfs import REPO, build

_CACHE = REPO / ".make" / "emulated"
_PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "apt-get": "apt",
    "dpkg": "dpkg",
    "ldd": "libc-bin",
}
_KERNEL_PACKAGE = "linux-image-cloud-amd64"
_LIMIT_SECONDS = 300
_MEMORY_MB = 1024


class PartMissing(Exception):
    """Something that the emulated machine is made of is not here."""


def main() -> int:
    """Do it all; give the exit code."""
    try:
        busybox, kernel = _parts()
    except PartMissing as missing:
        print(f"SKIPPED: no emulated machine: {missing}")
        return 1 if os.environ.get("CI") == "true" else 0
    image = _CACHE / "initramfs"
    build(_CACHE / "root", image, busybox)
    began = time.monotonic()
    said = _boot(kernel, image)
    (_CACHE / "serial.log").write_text(said)
    return _verdict(said, time.monotonic() - began)


def _parts() -> tuple[str, Path]:
    """Give busybox and the kernel. Raises PartMissing."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise PartMissing(f"{sys.platform} on {os.uname().machine}: it is made for Linux on x86_64")
    missing = [f"{name} (package {package})" for name, package in _PACKAGES.items() if shutil.which(name) is None]
    if missing:
        raise PartMissing(f"install {', '.join(missing)}")
    busybox = shutil.which("busybox") or ""
    ldd = subprocess.run(["ldd", busybox], capture_output=True, text=True, check=False, timeout=20)
    if ldd.returncode == 0 and "=>" in ldd.stdout:
        raise PartMissing(f"{busybox} is linked with libraries: install busybox-static")
    return busybox, _kernel()


def _kernel() -> Path:
    """Give the kernel, from the cache or out of Debian's package, which is unpacked and never installed."""
    kept = _CACHE / "vmlinuz"
    if kept.exists():
        return kept
    _CACHE.mkdir(parents=True, exist_ok=True)
    name = _kernel_package()
    _ask("apt-get", "download", name)
    (package,) = _CACHE.glob(f"{name}_*.deb")
    _ask("dpkg", "-x", str(package), "unpacked")
    (image,) = (_CACHE / "unpacked" / "boot").glob("vmlinuz-*")
    shutil.copy2(image, kept)
    shutil.rmtree(_CACHE / "unpacked")
    package.unlink()
    return kept


def _kernel_package() -> str:
    """Give the package that the cloud kernel's meta package stands for at this time."""
    listed = _ask("apt-cache", "depends", "--important", _KERNEL_PACKAGE)
    found = re.search(r"Depends: (linux-image-\S+)", listed)
    if found is None:
        raise PartMissing(f"the package sources have no {_KERNEL_PACKAGE}: apt-get update")
    return found[1]


def _ask(*command: str) -> str:
    done = subprocess.run(command, cwd=_CACHE, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise PartMissing(f"{' '.join(command)}: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


def _boot(kernel: Path, image: Path) -> str:
    """Run the machine to its end; give what it said on its serial line, which is shown as it comes."""
    command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", str(_MEMORY_MB), "-no-reboot", "-nographic"]
    command += ["-nic", "none", "-kernel", str(kernel), "-initrd", str(image)]
    command += ["-append", "console=ttyS0 quiet loglevel=3 panic=-1 psi=1 cgroup_no_v1=all"]
    said: list[str] = []
    with subprocess.Popen(
        ["timeout", str(_LIMIT_SECONDS), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as machine:
        for line in machine.stdout or ():
            said.append(line)
            print("  |", line.rstrip(), flush=True)
    return "".join(said)


def _verdict(said: str, seconds: float) -> int:
    """Read the serial line: it counts only when the checks came to their end and none failed."""
    passed, failed = (re.findall(rf"^{word} (\S+)", said, re.MULTILINE) for word in ("PASS", "FAIL"))
    done = re.search(r"^DONE (\d+) checks", said, re.MULTILINE)
    is_whole = done is not None and int(done[1]) == len(passed) + len(failed) > 0
    print(f"cgroup v2 in an emulated machine: {len(passed)} passed, {len(failed)} failed, {seconds:.0f} s")
    if not is_whole:
        print(f"the machine did not come to the end of its checks: see {_CACHE / 'serial.log'}")
    return 0 if is_whole and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
