"""Forks children that burn CPU: `forks_children.py CHILDREN SECONDS` (8 and 0.2 unless said).

Look at CPU seconds: those of all children together, more than the script's own. And at the processes: one more
than children.
"""

import multiprocessing
import os
import sys
import time


def burn(cpu_seconds: float) -> None:
    """Use so much CPU time."""
    value = 0
    while time.process_time() < cpu_seconds:
        value = (value * 31 + 7) % 1_000_003
    print(f"child {os.getpid()} burnt {time.process_time():.2f} s", flush=True)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 0.2
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=burn, args=(seconds,)) for _ in range(count)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print(f"{count} children ended")
