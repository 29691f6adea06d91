"""A peer: a plain Celery app as a user would write it (``celery --broker … --app benchmarks.celery_tasks worker``)."""

import time

from celery import Celery

from benchmarks.marks import mark, run

RUN, STAMP = "benchmarks.run", "benchmarks.stamp"

app = Celery("benchmarks")
app.conf.task_ignore_result = True


def _stamp(sent_ns: int) -> None:
    mark(time.time_ns() - sent_ns)


app.task(name=RUN)(run)
app.task(name=STAMP)(_stamp)
