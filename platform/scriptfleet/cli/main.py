"""The entry point of the process: so small that an interrupt hardly ever finds it not there yet."""

import sys

INTERRUPTED_EXIT_CODE = 130


def entry() -> int:
    """Run the command line of this process; give its exit code."""
    try:
        # An interrupt while this loads is one like any other.
        from scriptfleet.cli.dispatch import answer  # noqa: PLC0415

        return answer(sys.argv[1:])
    except KeyboardInterrupt:
        print("scriptfleet: interrupted", file=sys.stderr)
        return INTERRUPTED_EXIT_CODE
