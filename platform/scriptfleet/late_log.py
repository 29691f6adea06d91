"""Loggers that load the logging library when they first have something to say, which short runs hardly ever have."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import logging

#: As the library has them.
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def late_log(name: str) -> "logging.Logger":
    """Give the logger of this name."""
    found: Any = _LateLog(name)
    logger: logging.Logger = found
    return logger


def set_up_late(set_up: Callable[[], None], level: str) -> None:
    """Have ``set_up`` called before these loggers first say anything; nothing is said below ``level``, such as INFO."""
    with _SET_UP.guard:
        _SET_UP.pending, _SET_UP.least = set_up, _LEVELS[level.lower()]


class _SetUp:
    def __init__(self) -> None:
        # Reentrant: what sets the library up may log.
        self.guard = threading.RLock()
        self.pending: Callable[[], None] | None = None
        #: The least level that is said, while the set-up is pending.
        self.least = 0

    def hides(self, word: str) -> bool:
        return self.pending is not None and _LEVELS.get(word, self.least) < self.least

    def do(self) -> None:
        with self.guard:
            pending, self.pending = self.pending, None
            if pending is not None:
                pending()


_SET_UP: Final = _SetUp()


class _LateLog:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, word: str) -> Any:
        if _SET_UP.hides(word):
            return _say_nothing
        import logging  # noqa: PLC0415

        _SET_UP.do()
        return getattr(logging.getLogger(self._name), word)


def _say_nothing(*_words: object, **_options: object) -> None:
    """Take a remark that nobody wants to hear."""
