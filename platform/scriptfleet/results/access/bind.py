"""What may be served to whom: this machine alone, unless a token guards the service."""

import ipaddress
from urllib.parse import urlsplit

from scriptfleet.errors import InvalidValue


def check_bind(host: str, is_guarded: bool) -> None:
    """Refuse to serve another than a loopback address without a token; raises InvalidValue."""
    if not is_guarded and not is_loopback(host):
        expected = (
            "a loopback address such as 127.0.0.1 (a token opens the others: "
            "`scriptfleet token add NAME --role ROLE`, or SCRIPTFLEET_API_TOKEN)"
        )
        raise InvalidValue("host", host, expected)


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's own."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_loopback(host_header: str) -> bool:
    """Tell whether a request's Host is this machine's own."""
    try:
        return is_loopback(urlsplit(f"//{host_header}").hostname or "")
    except ValueError:
        return False
