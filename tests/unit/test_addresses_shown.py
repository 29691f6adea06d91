"""Addresses are shown without what may be a password, however badly it is written."""

import pytest

from scriptfleet.config import load_settings, without_password
from scriptfleet.errors import InvalidValue
from scriptfleet.queues.connection import connect


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("redis://user@h", "redis://user@h"),
        ("redis://user:p@[::1]:6379/0?db=1", "redis://user:***@[::1]:6379/0?db=1"),
        ("redis://:pa/ss@h", "redis://:***@h"),
        ("redis://:p#x@h", "redis://:***@h"),
        ("redis://:a@b:c@h:1/0", "redis://:***@h:1/0"),
        ("redis://us@er:pw@h", "redis://us@er:***@h"),
        ("redis:/:pw@h", "redis:/:***@h"),
        ("user:pw@h", "user:***@h"),
        ("redis://h/0?password=x", "redis://h/0?password=***"),
        ("unix:///r.sock?db=1&Password=q", "unix:///r.sock?db=1&Password=***"),
        ("postgresql://h/db?user=a&password=b@c", "postgresql://h/db?user=a&password=***"),
        ("postgresql://h/db?sslpassword=b&sslmode=x", "postgresql://h/db?sslpassword=***&sslmode=x"),
        ("redis://:p?password=x@h", "redis://:***"),
        ("sqlite:////folder/a.db", "sqlite:////folder/a.db"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize("url", ["redis://[::1", "http://h", "user:pw@h"])
def test_an_address_that_cannot_be_names_the_setting_and_no_password(url: str) -> None:
    with pytest.raises(InvalidValue, match="SCRIPTFLEET_REDIS_URL") as caught:
        load_settings({"SCRIPTFLEET_REDIS_URL": url})
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://:pa/ss@h", "redis://:pa#ss@h"])
def test_a_password_that_is_not_escaped_is_refused_without_a_part_of_it(url: str) -> None:
    with pytest.raises(InvalidValue, match="'/' is %2F") as caught:
        connect(url)
    assert "'pa'" not in str(caught.value)
    assert "ss" not in str(caught.value).partition("expected")[0].replace("SCRIPTFLEET_REDIS_URL", "")
