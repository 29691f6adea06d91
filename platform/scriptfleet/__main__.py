"""``python -m scriptfleet`` is the command line."""

import sys

from scriptfleet.cli.main import entry

if __name__ == "__main__":
    sys.exit(entry())
