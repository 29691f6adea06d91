"""The name of a kept interpreter: a digest of all that must be the same for a fork of it to be as a fresh start."""

import os
import sys
from _blake2 import blake2b
from collections.abc import Mapping, Sequence
from typing import Final

from scriptfleet import __version__
from scriptfleet.execution.kept.folder import NAME_LENGTH, boot_mark
from scriptfleet.execution.shim.posture import posture

_ROOT: Final = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
#: Tells of a terminal, a login, a unit or a make that a command was called in, nothing of what an import makes of it.
_OF_SESSION: Final = frozenset(
    {
        *("_", "PWD", "OLDPWD", "SHLVL", "LINES", "COLUMNS", "WINDOW", "WINDOWID", "STY", "TMUX", "TMUX_PANE"),
        *("SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "GPG_TTY", "XDG_SESSION_ID", "XDG_VTNR"),
        *("TERM_SESSION_ID", "ITERM_SESSION_ID", "SHELL_SESSION_ID", "KITTY_WINDOW_ID", "WEZTERM_PANE"),
        *("ALACRITTY_WINDOW_ID", "KONSOLE_DBUS_SESSION", "KONSOLE_DBUS_WINDOW"),
        *("INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MAKEFLAGS", "MFLAGS", "MAKELEVEL"),
    }
)


def import_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Give the part of a script's environment in which its modules are imported, ahead of it and in another folder."""
    found = {name: value for name, value in env.items() if name not in _OF_SESSION}
    if found.get("PYTHONPATH"):
        found["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, found["PYTHONPATH"].split(os.pathsep)))
    return found


def name_of(modules: Sequence[str], env: Mapping[str, str], way: str) -> str:
    """Give the name. Raises OSError where this process cannot be known."""
    mark = boot_mark()
    digest = blake2b(digest_size=(NAME_LENGTH - len(mark)) // 2)
    facts = [sys.executable, sys.version, sys.prefix, __version__, _ROOT, way, str(len(modules)), *modules]
    facts += [text for pair in sorted(env.items()) for text in pair]
    for fact in (posture(), *(os.fsencode(fact) for fact in facts)):
        digest.update(len(fact).to_bytes(8, "big") + fact)
    return mark + digest.hexdigest()
