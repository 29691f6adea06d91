"""A bell that wakes a loop which waits for files, from any thread."""

import contextlib
import os


class Bell:
    """A pipe; rung many times before it is heard, it rings once."""

    def __init__(self) -> None:
        #: What the loop is to wait for.
        self.number, self._rope = os.pipe()
        os.set_blocking(self.number, False)
        os.set_blocking(self._rope, False)

    def ring(self) -> None:
        """Wake the loop."""
        # A full pipe rings already.
        with contextlib.suppress(BlockingIOError):
            os.write(self._rope, b"!")

    def heard(self) -> None:
        """Be silent until the next ring."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.number, 4096)
