"""Addresses of Sentinels: read whole, refused plainly, spelled as Celery wants them."""

import pytest

from scriptfleet.config import load_settings
from scriptfleet.errors import InvalidValue
from scriptfleet.queues.connection import connect
from scriptfleet.queues.sentinel import parse_sentinel_url
from scriptfleet_workers.celery_config import broker_url, celery_config

WHOLE = (
    "sentinel://ann:p%40ss@one:1,[fe80::1]:2,three/4?master=main&sentinel_password=s%26x&tls=1&ssl_ca_certs=/etc/ca.pem"
)


def test_an_address_says_whom_to_ask_for_what() -> None:
    address = parse_sentinel_url(WHOLE)

    assert address.sentinels == (("one", 1), ("fe80::1", 2), ("three", 26379))
    assert address.master == "main"
    assert address.options == {"username": "ann", "password": "p@ss", "db": 4, "ssl_ca_certs": "/etc/ca.pem"}
    assert address.sentinel_options == {"password": "s&x"}
    assert address.is_encrypted


@pytest.mark.parametrize(
    "url",
    [
        "sentinel://one:1",
        "sentinel://one:1/0?master=",
        "sentinel://one:x/0?master=main",
        "sentinel:///0?master=main",
        "sentinel://one:1,,two:2/0?master=main",
        "sentinel://ann:secret@one:1/0?master=main&tls=perhaps",
        "sentinel://one:1/0?master=main&socket_timeout=long",
    ],
)
def test_what_is_no_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidValue, match="master=NAME") as caught:
        connect(url)
    assert "secret" not in str(caught.value)


def test_celery_gets_an_address_for_each_and_the_rest_as_options() -> None:
    assert broker_url("sentinel://ann:p%40ss@one:1,two:2/4?master=main") == (
        "sentinel://ann:p%40ss@one:1/4;sentinel://ann:p%40ss@two:2/4"
    )
    config = celery_config(load_settings({"SCRIPTFLEET_REDIS_URL": WHOLE}))
    assert config["broker_transport_options"]["master_name"] == "main"
    assert config["broker_transport_options"]["sentinel_kwargs"]["password"] == "s&x"
    assert config["broker_use_ssl"]["ssl_ca_certs"] == "/etc/ca.pem"


def test_replicas_to_wait_for_are_a_whole_number() -> None:
    assert load_settings({"SCRIPTFLEET_WAIT_REPLICAS": "2"}).wait_replicas == 2
    with pytest.raises(InvalidValue, match="SCRIPTFLEET_WAIT_REPLICAS"):
        load_settings({"SCRIPTFLEET_WAIT_REPLICAS": "-1"})
