"""A job that proves when it ran: one line at its start, signs of life, one line at its end, in a file of the job's own.

Called as `python -I -S stamping_job.py FILE SECONDS`. Each line is: word, run, attempt, CLOCK_BOOTTIME in seconds.
"""

import os
import sys
import time

ALIVE_EVERY_SECONDS = 0.05


def main(path: str, seconds: float) -> None:
    about = f"{os.environ['SCRIPTFLEET_RUN_ID']} {os.environ['SCRIPTFLEET_ATTEMPT']}"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def stamp(word: str) -> float:
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        os.write(file, f"{word} {about} {now:.6f}\n".encode())
        return now

    until = stamp("start") + seconds
    while (now := time.clock_gettime(time.CLOCK_BOOTTIME)) < until:
        time.sleep(min(ALIVE_EVERY_SECONDS, until - now))
        stamp("alive")
    stamp("end")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
