"""A first reading of a process right after its start: a run too short for a sample had its threads and files too."""

import os


def first_look(pid: int) -> dict[str, int] | None:
    """Give threads and open files of a process, or None when it is gone or this is not Linux.

    Its memory is not read: right after the exec it is some pages, which would pass for the run's peak.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            threads = int(stat.read().rsplit(b")", 1)[1].split()[17])
        files = len(os.listdir(f"/proc/{pid}/fd"))
    except (OSError, IndexError, ValueError):
        return None
    return {"threads": threads, "files": files}
