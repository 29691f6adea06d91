"""Who may be served where."""

import pytest

from scriptfleet.errors import InvalidValue
from scriptfleet.results.access.bind import check_bind, is_loopback


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.0.0.1", "127.8.9.1", "::1"])
def test_this_machine_is_served_without_a_token(host: str) -> None:
    check_bind(host, is_guarded=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "example.org", "127.0.0.1.example.org"])
def test_any_other_address_needs_a_token(host: str) -> None:
    with pytest.raises(InvalidValue, match="SCRIPTFLEET_API_TOKEN"):
        check_bind(host, is_guarded=False)

    check_bind(host, is_guarded=True)


@pytest.mark.parametrize("host", ["localhost.example.org", "127.1", "0", "loopback"])
def test_names_that_only_look_like_this_machine_are_not(host: str) -> None:
    assert not is_loopback(host)
