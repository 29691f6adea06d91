"""Messages, signatures and leases: pure parts of the queues."""

import json

import pytest

from scriptfleet.queues.claims import LONGEST_LEASE_SECONDS, SHORTEST_LEASE_SECONDS, lease_seconds
from scriptfleet.queues.keys import Keys
from scriptfleet.queues.message import task_name, template
from scriptfleet.queues.scripts import NAMES, source_of
from scriptfleet.queues.signing import good_until, is_fact_genuine, is_genuine, seal_record, sign
from tests import event_factory as make


def test_the_template_has_every_mark_unquoted() -> None:
    text = template()

    assert all(f"@{mark}@" in text and f'"@{mark}@"' not in text for mark in ("ID", "TAG", "QUEUE", "TASK", "NAME"))


def test_a_task_is_named_after_its_kind() -> None:
    assert task_name("shell") == "scriptfleet.shell"


@pytest.mark.parametrize("name", NAMES)
def test_the_flags_are_the_first_line_of_every_script(name: str) -> None:
    assert source_of(name).startswith("#!lua")


@pytest.mark.parametrize("name", ["claim", "next", "reassert", "renew", "finish", "cancel", "tick"])
def test_a_full_server_still_lets_runs_begin_and_end(name: str) -> None:
    assert "flags=allow-oom" in source_of(name).splitlines()[0]


def test_a_full_server_takes_no_new_jobs() -> None:
    assert "allow-oom" not in source_of("submit").splitlines()[0]


@pytest.mark.parametrize(("age", "lease"), [(0, 15), (30, 15), (120, 60), (600, 300), (36_000, 300)])
def test_the_lease_grows_with_the_age_of_the_run(age: float, lease: float) -> None:
    assert lease_seconds(age) == lease
    assert SHORTEST_LEASE_SECONDS <= lease <= LONGEST_LEASE_SECONDS


def test_all_keys_of_a_fleet_lie_in_one_slot_of_a_cluster() -> None:
    keys = Keys("team-a")

    assert keys("job", "x") == "{team-a}:job:x"
    assert keys.celery_prefix.startswith("{team-a}:")


def test_a_signature_holds_for_its_own_job_and_spec_alone() -> None:
    signature = sign("key", "job-1", "spec", 1000.5)

    assert is_genuine("key", "job-1", "spec", signature)
    assert good_until(signature) == 1000.5
    assert not is_genuine("key", "job-1", "spec", signature.replace("1000500", "2000500"))
    assert not is_genuine("key", "job-2", "spec", signature)
    assert not is_genuine("key", "job-1", "other", signature)
    assert not is_genuine("other", "job-1", "spec", signature)
    assert not is_genuine("key", "job-1", "spec", "")


def test_a_signed_record_vouches_for_its_curve_and_its_process_tree_as_well() -> None:
    record = make.record("job-1", "run-1").to_dict()
    signature = seal_record("key", "job-1", "run-1", json.dumps(record))
    tree = {**record["process_tree"], "count": 3}

    def is_taken(**altered: object) -> bool:
        # As it comes off the stream.
        told = json.loads(json.dumps({"run_id": "run-1", "sig": signature, "record": record | altered}))
        return is_fact_genuine("key", "finished", "job-1", told)

    assert is_taken()
    assert not is_taken(process_tree=tree)
    assert not is_taken(process_tree=None)
    assert not is_taken(curve_io=[[0, 0], [0, 0]])


def test_without_a_key_every_spec_is_taken() -> None:
    assert sign("", "job-1", "spec", 1000) == ""
    assert is_genuine("", "job-1", "spec", "")


@pytest.mark.parametrize("signature", ["\u00e9", "\ud800", ""])
def test_a_signature_of_any_characters_is_refused_and_no_error(signature: str) -> None:
    assert not is_genuine("key", "job", "{}", signature)
