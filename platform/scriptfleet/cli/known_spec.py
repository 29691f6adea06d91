"""The spec of a job that was submitted before, to make a new job from: from the broker, else from the store."""

from typing import TYPE_CHECKING

from scriptfleet.cli.screen import note
from scriptfleet.config import Settings
from scriptfleet.domain.job import JobSpec
from scriptfleet.errors import JobNotFound, StoreUnreachable
from scriptfleet.queues.client import Client
from scriptfleet.queues.rerun import kept_in_store, spec_in

if TYPE_CHECKING:
    from scriptfleet.storage.job_store import KeptSpec


def known_spec(client: Client, settings: Settings, job_id: str) -> JobSpec:
    """Give the spec. Raises JobNotFound, BrokerUnreachable, and InvalidValue for one that cannot be submitted again."""
    try:
        return spec_in(client.broker, job_id)
    except JobNotFound as gone:
        kept = _kept(settings, job_id, gone)
    return kept_in_store(settings.signing_key, job_id, kept)


def tell_if_living(client: Client, job_id: str) -> None:
    """Tell a person that the job they make another one from has not ended. Raises BrokerUnreachable."""
    try:
        state = client.job(job_id).state()
    except JobNotFound:
        return
    if not state.is_final:
        note(f"scriptfleet: job {job_id} is still {state}: the new one does not wait for it")


def _kept(settings: Settings, job_id: str, gone: JobNotFound) -> "KeptSpec":
    try:
        # Loading the database's library takes longer than most answers of the broker.
        from scriptfleet.cli import stored_jobs  # noqa: PLC0415
        from scriptfleet.storage.job_store import JobStore  # noqa: PLC0415

        with stored_jobs.opened(settings) as database:
            return JobStore(database).kept_spec(job_id)
    except (StoreUnreachable, ModuleNotFoundError) as fault:
        note(f"scriptfleet: the broker has let the job go, and the store cannot be asked: {fault}")
        raise gone from fault
    except JobNotFound as fault:
        raise gone from fault
