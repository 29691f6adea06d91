"""A submit that is to be confirmed by replicas: it counts when they have it, and is uncertain when they have not."""

import signal
from pathlib import Path

import pytest

from scriptfleet import Client
from scriptfleet.config import Settings
from scriptfleet.domain.state import State
from scriptfleet.errors import BrokerUnreachable, SubmitUncertain
from scriptfleet.queues.drafts import of_command
from tests.eventually import eventually
from tests.sentinel_servers import SentinelServers

DRAFT = of_command("true")


def is_confirmed(client: Client, job_id: str) -> bool:
    try:
        client.submit_draft(DRAFT, job_id)
    except SubmitUncertain:
        return False
    return True


def states(client: Client, job_ids: list[str]) -> list[State]:
    try:
        return [client.job(job_id).state() for job_id in job_ids]
    except BrokerUnreachable:
        return []


def test_a_submit_that_no_replica_confirms_is_uncertain_and_what_is_confirmed_outlives_the_primary(
    tmp_path: Path,
) -> None:
    with SentinelServers() as servers:
        client = Client(settings=Settings(tmp_path, servers.url, wait_replicas=1))
        confirmed = client.submit_draft(DRAFT).id

        servers.replica.send(signal.SIGSTOP)
        with pytest.raises(SubmitUncertain, match="0 of 1 replicas confirmed it within 1 s") as caught:
            client.submit_draft(DRAFT)
        uncertain = caught.value.job_id
        # The primary has it: asking again writes nothing, and is no confirmation all the same.
        assert states(client, [uncertain]) == [State.QUEUED]
        assert not is_confirmed(client, uncertain)
        servers.replica.send(signal.SIGCONT)
        eventually(lambda: is_confirmed(client, uncertain), within=60)

        servers.primary.kill()
        eventually(lambda: servers.primary_port() == servers.replica.port, within=60)
        assert eventually(lambda: states(client, [confirmed, uncertain])) == [State.QUEUED] * 2
        client.broker.redis.close()
