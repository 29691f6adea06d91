"""Real servers behind Sentinel: a primary, a replica and three who watch them, on the loopback interface."""

import subprocess
from pathlib import Path
from types import TracebackType

import redis

from tests.broker_server import BrokerServer, free_port, wheel_binary
from tests.eventually import eventually

HOST = "127.0.0.1"
MASTER = "main"
_SETTINGS = """port {port}
bind {host}
dir {folder}
sentinel monitor {master} {host} {primary} 2
sentinel down-after-milliseconds {master} 1500
sentinel failover-timeout {master} 6000
"""


class SentinelServers:
    """The servers, while the block lasts."""

    def __init__(self) -> None:
        self.primary = BrokerServer(HOST)
        self.replica = BrokerServer(
            HOST, ["--replicaof", HOST, str(self.primary.port), "--repl-diskless-sync-delay", "0"]
        )
        self._ports = [free_port() for _ in range(3)]
        self._watching: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        """What the fleet is given."""
        return f"sentinel://{','.join(f'{HOST}:{port}' for port in self._ports)}/0?master={MASTER}"

    def primary_port(self) -> int:
        """Give where the Sentinels say that the primary is."""
        with redis.Redis(HOST, self._ports[0]) as one:
            return int(one.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[1])

    def __enter__(self) -> "SentinelServers":
        self.primary.start()
        self.replica.start()
        with redis.Redis(HOST, self.primary.port) as primary:
            eventually(lambda: primary.info("replication").get("slave0", {}).get("state") == "online", within=60)
        for number, port in enumerate(self._ports):
            self._watching.append(self._watch(self.primary.folder / f"sentinel-{number}.conf", port))
        eventually(lambda: all(self._sees_all(port) for port in self._ports), within=60)
        return self

    def _watch(self, path: Path, port: int) -> "subprocess.Popen[bytes]":
        known = {"host": HOST, "folder": path.parent, "master": MASTER, "primary": self.primary.port}
        path.write_text(_SETTINGS.format(port=port, **known))
        with path.with_suffix(".log").open("wb") as log:
            return subprocess.Popen([str(wheel_binary()), str(path), "--sentinel"], stdout=log, stderr=log)

    def _sees_all(self, port: int) -> bool:
        try:
            with redis.Redis(HOST, port) as one:
                said = one.sentinel_master(MASTER)
        except redis.RedisError:
            return False
        return (int(said["num-slaves"]), int(said["num-other-sentinels"])) == (1, 2)

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._watching:
            process.kill()
            process.wait()
        self.replica.remove()
        self.primary.remove()
