"""Runs a command that ends when the process that started it does: ``python tether.py PARENT SIGNAL COMMAND…``.

Standard library only, and nothing of this package: it runs before the command in the command's own process.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel for the signal, then become the command."""
    parent, signum, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signum, 0, 0, 0)
    # The parent may have ended before the kernel was asked.
    if os.getppid() == parent:
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
