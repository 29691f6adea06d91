"""Flower as a process of a test's fleet, and its buttons."""

import socket
import sys

import httpx

from tests.eventually import eventually
from tests.fleet_parts import Fleet


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Flower:
    """Flower, up and reached over HTTP."""

    def __init__(self, fleet: Fleet) -> None:
        port = free_port()
        command = [sys.executable, "-m", "scriptfleet", "flower", "--port", str(port)]
        fleet.start("flower", *command, env={"FLOWER_UNAUTHENTICATED_API": "true"})
        self.url = f"http://127.0.0.1:{port}"
        eventually(self._is_up, within=60)

    def tasks(self) -> dict:
        """Give the tasks that it knows, by id."""
        return dict(httpx.get(f"{self.url}/api/tasks", timeout=60).json())

    def press(self, path: str, **parameters: str | int | float) -> httpx.Response:
        """Press a button."""
        return httpx.post(f"{self.url}/api/{path}", params=parameters, timeout=20)

    def await_worker(self, name: str) -> None:
        """Wait until it knows a worker: before that it gives no orders to it."""
        eventually(
            lambda: name in httpx.get(f"{self.url}/api/workers", params={"refresh": 1}, timeout=60).json(), within=30
        )

    def _is_up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthcheck", timeout=60).status_code == 200
        except httpx.TransportError:
            return False
