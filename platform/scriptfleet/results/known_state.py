"""Why something cannot be done to a job: what is true of it, by the broker, else by the store."""

from scriptfleet.config import NoFleet
from scriptfleet.errors import JobNotFound
from scriptfleet.queues.client import Client
from scriptfleet.results.rest.refusals import JobEnded, JobForgotten, JobStands, NotDead
from scriptfleet.storage.job_store import JobStore


def unknown_to_broker(jobs: JobStore, job_id: str) -> JobStands:
    """Give the refusal for a job that the broker does not know. Raises JobNotFound where the store does not either."""
    state = jobs.get(job_id).state
    return (JobEnded if state.is_final else JobForgotten)(job_id, state)


def not_dead(client: Client, jobs: JobStore, job_id: str) -> NotDead:
    """Give the refusal for a job that is on no list of dead ones. Raises JobNotFound where nobody knows it."""
    try:
        state = client.job(job_id).state()
    except (JobNotFound, NoFleet):
        state = jobs.get(job_id).state
    return NotDead(job_id, state)
