"""The worker's app with a fault in Celery's loop, for tests: it begins when the file that BREAK_AT names is there.

``hang`` stops the loop for good. ``forget`` has the loop forget the connection that messages come by, as reconnects
have made Celery do: everything else goes on.
"""

import os
import threading
from pathlib import Path
from typing import Any

from celery import bootsteps

from scriptfleet_workers.app import app

HOW, AT = os.environ["BREAK_HOW"], Path(os.environ["BREAK_AT"])


class Break(bootsteps.StartStopStep):
    """Looks for the file; breaks the loop once."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        consumer.hub.call_repeatedly(0.1, self._look, consumer)

    def _look(self, consumer: Any) -> None:
        if not AT.exists():
            return
        if HOW == "hang":
            threading.Event().wait()
        cycle = consumer.connection.transport.cycle
        for number, (_, kind) in list(cycle._fd_to_chan.items()):
            if kind == "BRPOP":
                consumer.hub.remove_reader(number)
                cycle._fd_to_chan.pop(number)


app.steps["consumer"].add(Break)
