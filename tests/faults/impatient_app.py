"""The worker's app where Celery gives a message up for lost after seconds: leases must not care."""

import os

from scriptfleet_workers.app import app

app.conf.broker_transport_options = {
    **app.conf.broker_transport_options,
    "visibility_timeout": float(os.environ["VISIBILITY_TIMEOUT"]),
    "unacked_restore_interval": 1,
}

__all__ = ["app"]
