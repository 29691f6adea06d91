"""A network of a test's own, joined to this machine's by one cable that can be pulled. Needs root and iproute2."""

import os
import shutil
import subprocess
import uuid
from pathlib import Path
from types import TracebackType

from tests.conftest import missing
from tests.eventually import eventually


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)


class NetworkNamespace:
    """The namespace, while the block lasts. One process holds it: names for networks need rights to mount."""

    def __init__(self) -> None:
        number = uuid.uuid4().int
        self._cable = f"sf{number % 0xFFFFFF:06x}"
        # Of the range that is set aside for tests of networks.
        net = f"198.18.{number % 253 + 1}"
        start = 4 * (number // 253 % 60)
        self.host, self._inside = f"{net}.{start + 1}", f"{net}.{start + 2}"
        self._holder: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> tuple[str, ...]:
        """What a command in the namespace begins with."""
        assert self._holder is not None
        return ("nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "--")

    def pull(self) -> None:
        """Take the cable away: packets are lost, nobody is told."""
        _run("ip", "link", "set", self._cable, "down")

    def plug(self) -> None:
        """Put the cable back."""
        _run("ip", "link", "set", self._cable, "up")

    def __enter__(self) -> "NetworkNamespace":
        if os.geteuid() or not shutil.which("ip"):
            missing("root and iproute2, to make a network namespace")
        tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, check=False)
        if tried.returncode:
            missing(f"the right to make a network namespace ({tried.stderr.strip()})")
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        eventually(self._is_apart)
        self._join()
        return self

    def _is_apart(self) -> bool:
        assert self._holder is not None
        return Path(f"/proc/{self._holder.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()

    def _join(self) -> None:
        assert self._holder is not None
        _run("ip", "link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", str(self._holder.pid))
        _run("ip", "addr", "add", f"{self.host}/30", "dev", self._cable)
        _run("ip", "link", "set", self._cable, "up")
        _run(*self.command, "ip", "addr", "add", f"{self._inside}/30", "dev", "eth0")
        for device in ("eth0", "lo"):
            _run(*self.command, "ip", "link", "set", device, "up")

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._holder is not None
        # The namespace ends with its last process, and with it the cable.
        self._holder.kill()
        self._holder.wait()
