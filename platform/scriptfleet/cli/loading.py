"""What loading code costs beyond reading it."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Look for no garbage while the block imports, nor ever among what it has imported.

    Code makes thousands of objects that all stay; to go over them again and again, and once more at the end of the
    process, takes a tenth of what a short command takes.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
