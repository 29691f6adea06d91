"""A first reading of a process right after its start, so that a run too short for a sample is not without one."""

import os

_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


def first_look(pid: int) -> dict[str, int] | None:
    """Give resident KiB, threads and open files of a process, or None when it is gone or this is not Linux."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:
            resident = int(statm.read().split()[1])
        with open(f"/proc/{pid}/stat", "rb") as stat:
            threads = int(stat.read().rsplit(b")", 1)[1].split()[17])
        files = len(os.listdir(f"/proc/{pid}/fd"))
    except (OSError, IndexError, ValueError):
        return None
    # A zombie has no memory left to read.
    return {"rss_kb": resident * _PAGE_KB, "threads": threads, "files": files} if resident else None
