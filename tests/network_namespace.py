"""A network of a test's own, joined to this machine's by one cable that can be pulled. Needs root and iproute2."""

import os
import shutil
import subprocess
import uuid
from types import TracebackType

import pytest

from tests.conftest import missing


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class NetworkNamespace:
    """The namespace, while the block lasts."""

    def __init__(self) -> None:
        number = uuid.uuid4().int
        self.name = f"sf-{number % 0xFFFFFF:06x}"
        self._cable = f"sf{number % 0xFFFFFF:06x}"
        # Of the range that is set aside for tests of networks.
        net = f"198.18.{number % 253 + 1}"
        start = 4 * (number // 253 % 60)
        self.host, self._inside = f"{net}.{start + 1}", f"{net}.{start + 2}"

    @property
    def command(self) -> tuple[str, ...]:
        """What a command in the namespace begins with."""
        return ("ip", "netns", "exec", self.name)

    def pull(self) -> None:
        """Take the cable away: packets are lost, nobody is told."""
        _ip("link", "set", self._cable, "down")

    def plug(self) -> None:
        """Put the cable back."""
        _ip("link", "set", self._cable, "up")

    def __enter__(self) -> "NetworkNamespace":
        if os.geteuid() or not shutil.which("ip"):
            missing("root and iproute2, to make a network namespace")
        try:
            _ip("netns", "add", self.name)
        except subprocess.CalledProcessError as fault:
            # Also in CI: nothing that could be installed would help.
            pytest.skip(f"this container may not make networks: {fault.stderr.strip()}")
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("addr", "add", f"{self.host}/30", "dev", self._cable)
        _ip("netns", "exec", self.name, "ip", "addr", "add", f"{self._inside}/30", "dev", "eth0")
        for where in ((), ("netns", "exec", self.name, "ip")):
            _ip(*where, "link", "set", "eth0" if where else self._cable, "up")
        _ip("netns", "exec", self.name, "ip", "link", "set", "lo", "up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        _ip("netns", "delete", self.name)
