"""Submitting: once whatever is repeated, and told apart when it is not the same."""

import time
from pathlib import Path

import pytest
import redis
from kombu import Connection
from kombu.utils.json import loads

from scriptfleet import Client, JobSpec, State
from scriptfleet.config import Settings
from scriptfleet.domain.ids import new_job_id
from scriptfleet.errors import IdempotencyConflict, InvalidValue, JobNotFound
from scriptfleet.queues.client import Broker
from scriptfleet.queues.drafts import Draft, of_command


def test_a_submitted_job_is_queued(client: Client) -> None:
    job = client.submit_shell("echo hi", name="greet", queue="fast", priority=7)

    facts = job.facts()
    assert job.state() is State.QUEUED
    assert (facts["name"], facts["kind"], facts["queue"], facts["priority"]) == ("greet", "shell", "fast", 7)
    assert (facts["attempt"], facts["run_id"], facts["record"]) == (0, None, None)


def test_the_same_id_is_the_same_job(client: Client, broker: Broker) -> None:
    job_id = new_job_id()
    first = client.submit_draft(of_command("true"), job_id)
    again = client.submit_draft(of_command("true"), job_id)

    assert first.id == again.id == job_id
    assert broker.redis.xlen(broker.keys("events")) == 1
    assert broker.redis.llen(broker.keys("celery", "default")) == 1


def test_the_same_key_with_the_same_spec_answers_the_first_id(client: Client) -> None:
    first = client.submit_shell("true", idempotency_key="nightly-7")
    again = client.submit_shell("true", idempotency_key="nightly-7")

    assert first.id == again.id


def test_the_same_key_with_another_spec_is_refused_with_the_first_id(client: Client) -> None:
    first = client.submit_shell("true", idempotency_key="nightly-7")

    with pytest.raises(IdempotencyConflict, match="nightly-7") as caught:
        client.submit_shell("false", idempotency_key="nightly-7")

    assert caught.value.job_id == first.id


def test_without_a_key_every_submit_is_a_new_job(client: Client) -> None:
    assert client.submit_shell("true").id != client.submit_shell("true").id


def test_a_job_that_is_not_due_is_delayed_and_given_to_nobody(client: Client, broker: Broker) -> None:
    job = client.submit_shell("true", not_before=time.time() + 3600)

    assert job.state() is State.DELAYED
    assert broker.redis.llen(broker.keys("celery", "default")) == 0


def test_a_job_that_was_due_long_ago_is_queued(client: Client) -> None:
    assert client.submit_shell("true", not_before=1.0).state() is State.QUEUED


def test_many_jobs_come_back_in_their_order(client: Client, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("print(1)")
    specs = [JobSpec("shell", f"job-{number}", {"command": "true"}) for number in range(250)]
    jobs = client.submit_many([tmp_path / "a.py", *specs, Draft(specs[0])])

    assert [job.facts()["name"] for job in jobs] == ["a.py", *(spec.name for spec in specs), "job-0"]
    assert len({job.id for job in jobs}) == 252


def test_no_jobs_at_all_are_no_error(client: Client) -> None:
    assert client.submit_many([]) == []


def test_the_bytes_of_a_script_travel_with_it(client: Client, broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("print('hällo')")
    job = client.submit(tmp_path / "a.py")

    stored = broker.redis.hget(broker.keys("job", job.id), "spec")
    source = JobSpec.from_json(stored).source
    assert source is not None
    assert broker.blobs.get(source.sha256, source.size_bytes).decode() == "print('hällo')"


def test_a_job_that_is_not_there_is_told_so(client: Client) -> None:
    with pytest.raises(JobNotFound, match="no-such-job"):
        client.job("no-such-job").state()


def test_names_and_arguments_of_any_kind_arrive_in_the_message(client: Client, broker: Broker) -> None:
    name = 'a "quoted"\n@ID@ näme %1 \\'
    job = client.submit_shell("echo '@TAG@ %0'", name=name)

    with Connection("memory://") as connection:
        channel = connection.channel()
        raw = broker.redis.rpop(broker.keys("celery", "default"))
        message = channel.Message(_loads(raw), channel=channel)
        assert message.headers["task"] == "scriptfleet.shell"
        assert message.headers["id"] == message.headers["root_id"] == message.properties["correlation_id"] == job.id
        assert (message.headers["shadow"], message.headers["argsrepr"]) == (name, "echo '@TAG@ %0'")
        assert message.decode() == [[], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]


def _loads(raw: bytes) -> dict[str, object]:

    found: dict[str, object] = loads(raw)
    return found


def test_two_fleets_on_one_server_do_not_see_each_other(
    client: Client, redis_client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    other = Client(settings=Settings(home=tmp_path, redis_url=redis_url, namespace="other"))
    job = client.submit_shell("true")

    with pytest.raises(JobNotFound):
        other.job(job.id).state()
    other.broker.redis.close()


@pytest.mark.parametrize("job_id", ["nightly", "", "1B4E28BA-2FA1-11D2-883F-0016D3CCA427", "{1b4e28ba2fa111d2883f}"])
def test_an_id_that_is_no_uuid_is_refused(client: Client, broker: Broker, job_id: str) -> None:
    with pytest.raises(InvalidValue, match="job_id"):
        client.submit_draft(of_command("true"), job_id)

    assert broker.redis.xlen(broker.keys("events")) == 0


def test_many_jobs_submitted_again_with_their_ids_are_the_same_jobs(client: Client, broker: Broker) -> None:
    specs = [JobSpec("shell", f"job-{number}", {"command": "true"}) for number in range(150)]
    job_ids = [new_job_id() for _ in specs]
    first = client.submit_many(specs, job_ids=job_ids)
    again = client.submit_many(specs, job_ids=job_ids)

    assert [job.id for job in first] == [job.id for job in again] == job_ids
    assert broker.redis.xlen(broker.keys("events")) == 150


def test_ids_that_are_too_few_or_twice_the_same_are_refused(client: Client) -> None:
    one = new_job_id()
    for job_ids in ([one], [one, one]):
        with pytest.raises(InvalidValue, match="job_ids"):
            client.submit_many([of_command("true"), of_command("false")], job_ids=job_ids)


def test_a_conflict_among_many_tells_what_is_there(client: Client) -> None:
    held = client.submit_shell("true", idempotency_key="k")
    jobs = [of_command("true"), of_command("false", idempotency_key="k"), of_command("true")]

    with pytest.raises(IdempotencyConflict) as caught:
        client.submit_many(jobs)

    assert caught.value.job_id == held.id
    assert [job.state() for job in caught.value.submitted] == [State.QUEUED, State.QUEUED]
