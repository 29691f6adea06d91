"""The peer: a plain Celery app as a user would write it (``celery --broker … --app benchmarks.celery_tasks worker``).

Each task ends with one line in a file, which costs some microseconds and tells the benchmark that it was done.
"""

import os
import subprocess
import time
from collections.abc import Sequence

from celery import Celery

#: Names the file of marks in the worker's environment.
MARKS_VARIABLE = "BENCHMARKS_MARKS"
RUN, STAMP = "benchmarks.run", "benchmarks.stamp"

app = Celery("benchmarks")
app.conf.task_ignore_result = True


def _mark(line: str) -> None:
    out = os.open(os.environ[MARKS_VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(out, f"{line}\n".encode())
    os.close(out)


def _run(argv: Sequence[str]) -> None:
    subprocess.run(argv, check=True)
    _mark(str(time.time_ns()))


def _stamp(sent_ns: int) -> None:
    _mark(str(time.time_ns() - sent_ns))


app.task(name=RUN)(_run)
app.task(name=STAMP)(_stamp)
