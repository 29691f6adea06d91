"""Stop signals as a count that can be waited for: the first asks for an orderly end, the second for haste."""

import os
import select
import signal
from types import FrameType, TracebackType
from typing import Final, Self

_STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_START_STEP_SECONDS: Final = 0.05


class StopSignals:
    """Counts the signals while it is entered; for the main thread."""

    def __init__(self) -> None:
        self.count = 0
        # An Event set by a handler could meet its own lock held by the very thread that the handler interrupts.
        self._read_end, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._on_signal) for number in _STOPS}
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._read_end)
        os.close(self._write_end)

    @property
    def is_hurried(self) -> bool:
        """Whether the user asked a second time."""
        return self.count > 1

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until a signal comes; tell whether one has ever come."""
        ready, _, _ = select.select([self._read_end], [], [], seconds)
        if ready:
            os.read(self._read_end, 64)
        return self.count > 0

    def pause(self) -> None:
        """Wait a moment; raises KeyboardInterrupt when the user asked for the end."""
        if self.wait(_START_STEP_SECONDS):
            raise KeyboardInterrupt

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        os.write(self._write_end, b".")
