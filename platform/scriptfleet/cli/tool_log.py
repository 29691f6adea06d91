"""What ``run`` itself has to say, on stderr, apart from what the script writes."""

import logging
import sys
import warnings
from typing import Final

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")

log = logging.getLogger("scriptfleet.run")


def listen(level: str, hush_warnings: bool) -> None:
    """Show the remarks of this level and above; with ``hush_warnings`` none that is merely a warning."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("scriptfleet: %(message)s"))
    if hush_warnings:
        handler.addFilter(lambda record: record.levelno != logging.WARNING)
        warnings.simplefilter("ignore")
    ours = logging.getLogger("scriptfleet")
    ours.handlers[:] = [handler]
    ours.setLevel(level)
    ours.propagate = False
