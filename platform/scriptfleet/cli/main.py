"""The entry point of the process: so small that an interrupt hardly ever finds it not there yet."""

import os
import sys

INTERRUPTED_EXIT_CODE = 130


def entry() -> int:
    """Run the command line of this process; give its exit code."""
    try:
        # An interrupt while this loads is one like any other.
        from scriptfleet.cli.dispatch import answer  # noqa: PLC0415

        code = answer(sys.argv[1:])
    except KeyboardInterrupt:
        print("scriptfleet: interrupted", file=sys.stderr)
        return INTERRUPTED_EXIT_CODE
    if sys.argv[1:2] == ["run"]:
        # All is written and closed. To take apart what is loaded is a tenth of what a short run takes.
        os._exit(code)
    return code
