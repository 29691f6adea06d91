"""Who runs or submits, as shown to people."""

import os
import pwd


def submitter() -> str:
    """Give user@host."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"
