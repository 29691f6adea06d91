"""Signals as plain numbers. The standard library's names for them load as much as all else that a shim needs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import (
        NSIG,
        SIG_BLOCK,
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
        getsignal,
        pthread_sigmask,
        set_wakeup_fd,
        signal,
    )
else:
    from _signal import (
        NSIG,
        SIG_BLOCK,
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
        getsignal,
        pthread_sigmask,
        set_wakeup_fd,
        signal,
    )

__all__ = [
    "NSIG",
    "SIGCHLD",
    "SIGCONT",
    "SIGINT",
    "SIGKILL",
    "SIGPIPE",
    "SIGQUIT",
    "SIGTERM",
    "SIGXCPU",
    "SIGXFSZ",
    "SIG_BLOCK",
    "SIG_DFL",
    "SIG_IGN",
    "SIG_SETMASK",
    "SIG_UNBLOCK",
    "getsignal",
    "pthread_sigmask",
    "set_wakeup_fd",
    "signal",
]
