"""What ``run`` itself has to say, on stderr, apart from what the script writes."""

import sys
import warnings
from typing import Final

from scriptfleet.late_log import late_log, set_up_late

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")

log = late_log("scriptfleet.run")


def listen(level: str, hush_warnings: bool) -> None:
    """Show the remarks of this level and above; with ``hush_warnings`` none that is merely a warning."""
    if hush_warnings:
        warnings.simplefilter("ignore")
    set_up_late(lambda: _set_up(level, hush_warnings), level)


def is_shown(remark: str, level: str) -> bool:
    """Tell whether a remark of its level is shown where those of ``level`` and above are."""
    return LEVELS.index(remark) >= LEVELS.index(level)


def _set_up(level: str, hush_warnings: bool) -> None:
    # Most runs end without a remark.
    import logging  # noqa: PLC0415

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("scriptfleet: %(message)s"))
    if hush_warnings:
        handler.addFilter(lambda record: record.levelno != logging.WARNING)
    ours = logging.getLogger("scriptfleet")
    ours.handlers[:] = [handler]
    ours.setLevel(level)
    ours.propagate = False
