"""A first reading of a process right after its start: a run too short for a sample had its threads and files too."""

import os


def first_look(pid: int) -> dict[str, int] | None:
    """Give threads and open files of a process, or None when it is gone or this is not Linux.

    Its memory is not read: right after the exec it is some pages, which would pass for the run's peak.
    """
    try:
        # Beside "." and ".." the folder has a link for each thread; to read what stands in it takes thrice as long.
        threads = os.stat(f"/proc/{pid}/task").st_nlink - 2
        # The size of this one is the number of files since Linux 6.2; before, or of none, it is 0.
        files = os.stat(f"/proc/{pid}/fd").st_size or len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    return {"threads": threads, "files": files} if threads > 0 else None
