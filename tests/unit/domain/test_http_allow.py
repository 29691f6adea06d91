"""Where HTTP jobs may go."""

import pytest

from scriptfleet.domain.http_allow import AllowList
from scriptfleet.errors import InvalidValue

INSIDE = (
    *("127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.9", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
    *("255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::"),
)


@pytest.mark.parametrize("address", INSIDE)
def test_with_nothing_listed_no_address_inside_is_allowed(address: str) -> None:
    assert not AllowList.parse("").allows("innocent.example.org", address)


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_with_nothing_listed_public_addresses_are_allowed(address: str) -> None:
    assert AllowList.parse("").allows("example.org", address)


@pytest.mark.parametrize("address", INSIDE)
def test_a_star_allows_everything(address: str) -> None:
    assert AllowList.parse("*").allows("anything", address)


@pytest.mark.parametrize(
    ("listed", "host", "address", "is_allowed"),
    [
        ("*.example.org", "api.example.org", "10.0.0.1", True),
        ("*.example.org", "API.Example.Org.", "10.0.0.1", True),
        ("*.example.org", "example.org", "8.8.8.8", False),
        ("*.example.org", "api.example.org.evil.net", "8.8.8.8", False),
        ("10.0.0.0/8", "whatever", "10.9.9.9", True),
        ("10.0.0.0/8", "whatever", "::ffff:10.9.9.9", True),
        ("10.0.0.0/8", "whatever", "8.8.8.8", False),
        ("10.0.0.0/8,public", "whatever", "8.8.8.8", True),
        ("10.0.0.0/8,public", "whatever", "192.168.0.1", False),
        (" localhost , ::1 ", "localhost", "127.0.0.1", True),
        (" localhost , ::1 ", "elsewhere", "::1", True),
        ("192.168.1.7", "box", "192.168.1.7", True),
        ("192.168.1.7", "box", "192.168.1.8", False),
        ("3com.example", "3com.example", "127.0.0.1", True),
    ],
)
def test_a_list_allows_what_is_on_it_and_nothing_else(listed: str, host: str, address: str, is_allowed: bool) -> None:
    assert AllowList.parse(listed).allows(host, address) is is_allowed


@pytest.mark.parametrize("listed", ["10.0.0.0/99", "1.2.3", "fe80::/200", "a/b"])
def test_an_entry_that_is_nothing_is_refused_by_name(listed: str) -> None:
    with pytest.raises(InvalidValue, match="SCRIPTFLEET_HTTP_ALLOW") as caught:
        AllowList.parse(f"localhost,{listed}")

    assert caught.value.value == listed
