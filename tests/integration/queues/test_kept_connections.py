"""Connections that are kept between calls answer in order, and one that the server closed does no lasting harm."""

import pytest
import redis

from scriptfleet.queues import kept_connections
from scriptfleet.queues.kept_connections import KeptConnections


def kill_others(client: redis.Redis, mine: int) -> None:
    """Have the server close every connection of this test's name but one."""
    for one in client.client_list():
        if one["name"] == "kept" and int(one["id"]) != mine:
            client.client_kill_filter(_id=one["id"])


@pytest.fixture
def kept(redis_url: str) -> KeptConnections:
    return KeptConnections(redis.Redis.from_url(redis_url, client_name="kept"))


def test_answers_come_in_the_order_of_their_commands_and_an_error_is_one_of_them(kept: KeptConnections) -> None:
    answers = kept.exchange([("ECHO", "one"), ("NO-SUCH-COMMAND",), ("ECHO", "three")])

    assert (answers[0], answers[2]) == (b"one", b"three")
    assert isinstance(answers[1], redis.ResponseError)


def test_calls_one_after_the_other_go_over_the_same_connection(kept: KeptConnections) -> None:
    assert kept.exchange([("CLIENT", "ID")]) == kept.exchange([("CLIENT", "ID")])


def test_a_connection_that_broke_just_now_is_told_and_not_used_again(
    kept: KeptConnections, redis_client: redis.Redis
) -> None:
    before = kept.exchange([("CLIENT", "ID")])
    kill_others(redis_client, mine=-1)

    with pytest.raises(redis.ConnectionError):
        kept.exchange([("ECHO", "lost")])

    assert kept.exchange([("CLIENT", "ID")]) != before


def test_a_connection_that_was_idle_is_looked_at_before_it_is_used_again(
    kept: KeptConnections, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.exchange([("ECHO", "one")])
    kill_others(redis_client, mine=-1)
    monkeypatch.setattr(kept_connections, "_FRESH_SECONDS", 0.0)

    assert kept.exchange([("ECHO", "two")]) == [b"two"]
