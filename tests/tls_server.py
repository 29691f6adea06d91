"""Debian's Redis with encryption, client certificates and users: what the wheel's server is built without."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import redis

from tests.broker_server import free_port
from tests.conftest import missing
from tests.eventually import eventually

HOST = "127.0.0.1"
_CONF = """port 0
tls-port {port}
bind {host}
dir {folder}
save ""
tls-cert-file server.crt
tls-key-file server.key
tls-ca-cert-file ca.crt
tls-auth-clients yes
user default off
user admin on >admin ~* &* +@all
"""


class TlsServer:
    """The server, while the block lasts; ``users`` are lines as its configuration has them."""

    def __init__(self, users: Sequence[str] = ()) -> None:
        self._users = users
        self.port = free_port()

    def __enter__(self) -> "TlsServer":
        binary = shutil.which("redis-server") or missing("Debian's package redis-server, which has TLS")
        self.folder = Path(tempfile.mkdtemp(prefix="sf-tls-"))
        self._make_certificates()
        known = {"port": self.port, "host": HOST, "folder": self.folder}
        conf = self.folder / "redis.conf"
        conf.write_text(_CONF.format(**known) + "\n".join(self._users) + "\n")
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen([str(binary), str(conf)], stdout=log, stderr=log, cwd=self.folder)
        eventually(self._is_up)
        return self

    def url(self, user: str, password: str, **changes: str) -> str:
        """Give an address with a login; of the encryption's files each can be changed, or left out with ''."""
        files = {"ssl_ca_certs": "ca.crt", "ssl_certfile": "client.crt", "ssl_keyfile": "client.key"} | changes
        query = "&".join(f"{name}={self.folder / file}" for name, file in files.items() if file)
        return f"rediss://{user}:{password}@{HOST}:{self.port}/0?{query}"

    def admin(self) -> redis.Redis:
        """Give a client that may do all."""
        return redis.Redis.from_url(self.url("admin", "admin"), decode_responses=True)

    def _is_up(self) -> bool:
        assert self._process.poll() is None, (self.folder / "log").read_text()
        try:
            with self.admin() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def _make_certificates(self) -> None:
        self._openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.crt -subj /CN=ca")
        (self.folder / "names").write_text(f"subjectAltName=IP:{HOST}")
        for name in ("server", "client"):
            self._openssl(f"req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}")
            signed = f"x509 -req -days 2 -in {name}.csr -out {name}.crt -CA ca.crt -CAkey ca.key -CAcreateserial"
            self._openssl(f"{signed} -extfile names")

    def _openssl(self, words: str) -> None:
        subprocess.run(["openssl", *words.split()], cwd=self.folder, check=True, capture_output=True)

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.folder)
