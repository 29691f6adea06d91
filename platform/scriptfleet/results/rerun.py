"""Submits a job again, by REST and by pages: by what the broker has of it, else by what the store kept."""

from typing import Any

from scriptfleet.domain.job import JobSpec
from scriptfleet.errors import JobNotFound
from scriptfleet.queues.client import Client
from scriptfleet.queues.drafts import Draft
from scriptfleet.queues.job_handle import Job
from scriptfleet.queues.rerun import again, kept_in_store, spec_in
from scriptfleet.storage.job_store import JobStore


def submit_again(client: Client, jobs: JobStore, job_id: str, **changes: Any) -> Job:
    """Submit it as a new job, changed as ``Client.rerun`` says.

    Raises JobNotFound for one that neither knows, InvalidValue for one whose spec is not kept whole, BlobMissing when
    the bytes of its script are gone, and as a submit does.
    """
    return client.submit_draft(Draft(again(_spec(client, jobs, job_id), job_id, changes)))


def _spec(client: Client, jobs: JobStore, job_id: str) -> JobSpec:
    try:
        return spec_in(client.broker, job_id)
    except JobNotFound:
        return kept_in_store(client.broker.settings.signing_key, job_id, jobs.kept_spec(job_id))
