"""The entry point of the process: so small that an interrupt hardly ever finds it not there yet."""

import os
import sys

INTERRUPTED_EXIT_CODE = 130
_LAST_STANDARD_DESCRIPTOR = 2


def entry() -> int:
    """Run the command line of this process; give its exit code."""
    try:
        _fill_standard_descriptors()
        code = _with_launcher(sys.argv[1:]) if sys.argv[1:2] == ["run"] else _answer(sys.argv[1:])
    except (KeyboardInterrupt, RuntimeError) as fault:
        if not is_interrupt(fault):
            raise
        print("scriptfleet: interrupted", file=sys.stderr)
        return INTERRUPTED_EXIT_CODE
    if sys.argv[1:2] == ["run"]:
        # All is written and closed. To take apart what is loaded is a tenth of what a short run takes.
        os._exit(code)
    return code


def is_interrupt(fault: BaseException) -> bool:
    """Tell whether a fault is Ctrl-C; Python 3.11 wraps one that comes while a class is made."""
    return isinstance(fault, KeyboardInterrupt) or isinstance(fault.__cause__, KeyboardInterrupt)


def _with_launcher(words: list[str]) -> int:
    """Answer ``run``. What starts its script is itself started before all else, since both take as long to load."""
    from scriptfleet.cli import early  # noqa: PLC0415

    try:
        # Also where that is a word of the script's own: then its launcher is started a little later.
        if "--warm" not in words:
            early.start()
        return _answer(words)
    finally:
        early.drop()


def _answer(words: list[str]) -> int:
    # An interrupt while this loads is one like any other.
    from scriptfleet.cli.dispatch import answer  # noqa: PLC0415

    return answer(words)


def _fill_standard_descriptors() -> None:
    # Whoever closed one of the three must not get something of ours under its number.
    while (fd := os.open(os.devnull, os.O_RDWR)) <= _LAST_STANDARD_DESCRIPTOR:
        os.set_inheritable(fd, True)
    os.close(fd)
