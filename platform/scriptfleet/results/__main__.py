"""The process of the results service: ``python -m scriptfleet.results``."""

import argparse
import logging
import sys

from scriptfleet.config import load_settings
from scriptfleet.errors import InvalidValue, ScriptfleetError
from scriptfleet.results.serve import serve

_USAGE_ERROR, _FAILED = 2, 125


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal comes; give the exit code."""
    parser = argparse.ArgumentParser(prog="scriptfleet server", description="Serve the results of the fleet.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on, 0 for a free one (default: 8080)")
    parser.add_argument("--migrate", action="store_true", help="bring the database to this version's schema first")
    said = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for name in ("alembic", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        serve(load_settings(), said.host, said.port, migrate=said.migrate, on_ready=_tell)
    except ScriptfleetError as fault:
        sys.stderr.write(f"scriptfleet server: {fault}\n")
        return _USAGE_ERROR if isinstance(fault, InvalidValue) else _FAILED
    return 0


def _tell(url: str) -> None:
    sys.stdout.write(f"listening on {url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
