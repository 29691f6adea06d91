"""A peer: Celery as it must be set for a killed worker's task to start again at all (``task_acks_late``)."""

from typing import Final

from celery import Celery

from benchmarks.celery_tasks import RUN
from benchmarks.marks import run

#: An hour by Celery's default, more than a benchmark can wait.
VISIBILITY_SECONDS: Final = 5

app = Celery("benchmarks")
app.conf.task_ignore_result = True
app.conf.task_acks_late = True
app.conf.broker_transport_options = {
    "visibility_timeout": VISIBILITY_SECONDS,
    # Otherwise what is not acknowledged is looked for every hundred seconds only.
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
}
app.task(name=RUN)(run)
