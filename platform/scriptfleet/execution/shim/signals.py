"""Signals as plain numbers. The standard library's names for them load as much as all else that a shim needs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import (
        SIG_DFL,
        SIG_IGN,
        SIG_SETMASK,
        SIG_UNBLOCK,
        SIGCHLD,
        SIGCONT,
        SIGINT,
        SIGKILL,
        SIGPIPE,
        SIGQUIT,
        SIGTERM,
        SIGXCPU,
        SIGXFSZ,
        pthread_sigmask,
        set_wakeup_fd,
        signal,
    )
else:
    from _signal import (
        SIG_DFL,
        SIG_IGN,
        SIG_SETMASK,
        SIG_UNBLOCK,
        SIGCHLD,
        SIGCONT,
        SIGINT,
        SIGKILL,
        SIGPIPE,
        SIGQUIT,
        SIGTERM,
        SIGXCPU,
        SIGXFSZ,
        pthread_sigmask,
        set_wakeup_fd,
        signal,
    )

__all__ = [
    "SIGCHLD",
    "SIGCONT",
    "SIGINT",
    "SIGKILL",
    "SIGPIPE",
    "SIGQUIT",
    "SIGTERM",
    "SIGXCPU",
    "SIGXFSZ",
    "SIG_DFL",
    "SIG_IGN",
    "SIG_SETMASK",
    "SIG_UNBLOCK",
    "pthread_sigmask",
    "set_wakeup_fd",
    "signal",
]
