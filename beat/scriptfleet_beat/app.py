"""Beat's Celery app: `celery -A scriptfleet_beat.app beat`. The one place where beat is put together."""

from celery import Celery

from scriptfleet.config import load_settings
from scriptfleet.errors import ScriptfleetError
from scriptfleet_beat.scheduler import StoreScheduler, firing_of

settings = load_settings()
app = Celery("scriptfleet-beat", broker=None)
app.conf.update(
    beat_scheduler="scriptfleet_beat.app:Scheduler",
    beat_max_loop_interval=1.0,
    broker_connection_retry_on_startup=True,
    worker_redirect_stdouts=False,
)


class Scheduler(StoreScheduler):
    """The scheduler, over this process's settings."""

    def setup_schedule(self) -> None:
        """Open the store and the broker; without a database of this version the process ends with a line."""
        try:
            self.firing = firing_of(settings)
        except ScriptfleetError as fault:
            # Celery shows what is raised here as a fault of its own, with all that was called.
            raise SystemExit(f"scriptfleet: {fault}") from fault
