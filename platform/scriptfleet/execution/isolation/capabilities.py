"""What of isolation this machine allows: tried in a process of its own, not guessed; each thing once."""

import marshal
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

_TRIAL_SECONDS: Final = 20.0
_ROOT: Final = str(Path(__file__).parents[3])
_TRIAL: Final = (
    "import marshal, sys; sys.path.append(sys.argv[1])\n"
    "from scriptfleet.execution.shim.isolate import isolate\n"
    "try: isolate(marshal.loads(sys.stdin.buffer.read()))\n"
    "except OSError as fault: sys.exit(fault.strerror)\n"
)
#: Any user but root will do.
_NOBODY: Final = 65_534


class Feature(StrEnum):
    """What can be asked for."""

    MOUNTS = "private_tmp and read_only"
    NETWORK = "no_network"
    USER = "user"
    PRIVILEGES = "no_new_privileges"


class Way(StrEnum):
    """How it is done."""

    #: By this process's own children; with a user namespace when it is not root.
    DIRECT = "namespaces"
    BUBBLEWRAP = "bubblewrap"


@dataclass(frozen=True, slots=True)
class Capability:
    """Whether one feature is to be had here."""

    way: Way | None
    #: Why not, or why not directly; empty when it simply works.
    why: str = ""


@cache
def capability(feature: Feature) -> Capability:
    """Try a feature on this machine."""
    if not sys.platform.startswith("linux"):
        return Capability(None, "only Linux can do that")
    if feature is Feature.USER and os.geteuid() != 0:
        return Capability(None, "the worker is not root")
    trouble = _try_directly(feature)
    if trouble is None:
        return Capability(Way.DIRECT)
    if feature in (Feature.USER, Feature.PRIVILEGES):
        return Capability(None, trouble)
    wrapped = try_bubblewrap(feature)
    if wrapped is None:
        return Capability(Way.BUBBLEWRAP, trouble)
    return Capability(None, f"{trouble}; {wrapped}")


def find_bubblewrap() -> str | None:
    """Give the absolute path of bubblewrap, or None where it is not installed."""
    return shutil.which("bwrap")


def wish(
    mounts: Sequence[tuple[str, str, str]] = (),
    network: bool = False,
    identity: tuple[int, int, Sequence[int]] | None = None,
    no_new_privileges: bool = False,
    bubble: bool = False,
) -> dict[str, Any]:
    """Give the form in which the shim takes isolation."""
    return {
        "mounts": [tuple(step) for step in mounts],
        "network": network,
        "user_namespace": os.geteuid() != 0,
        "identity": None if identity is None else (identity[0], identity[1], list(identity[2])),
        "no_new_privileges": no_new_privileges,
        "bubble": bubble,
    }


def try_bubblewrap(feature: Feature) -> str | None:
    """Try mounts or network by bubblewrap; give what went wrong, or None."""
    program = find_bubblewrap()
    if program is None:
        return "bubblewrap is not installed"
    what = ["--unshare-net"] if feature is Feature.NETWORK else ["--tmpfs", "/tmp"]  # noqa: S108
    nothing = shutil.which("true") or "true"
    return _trouble([program, "--dev-bind", "/", "/", *what, "--", nothing], b"")


def _try_directly(feature: Feature) -> str | None:
    wanted = {
        Feature.MOUNTS: wish(mounts=[("cover", "/tmp", "mode=1777"), ("read_only", "/", "")]),  # noqa: S108
        Feature.NETWORK: wish(network=True),
        Feature.USER: wish(identity=(_NOBODY, _NOBODY, ())),
        Feature.PRIVILEGES: wish(no_new_privileges=True),
    }
    return _trouble([sys.executable, "-I", "-S", "-c", _TRIAL, _ROOT], marshal.dumps(wanted[feature]))


def _trouble(command: list[str], given: bytes) -> str | None:
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=_TRIAL_SECONDS, check=False, env={})
    except (OSError, subprocess.TimeoutExpired) as fault:
        return str(fault)
    said = done.stderr.decode(errors="replace").strip()
    return None if done.returncode == 0 else said or f"{command[0]} ended with {done.returncode}"
