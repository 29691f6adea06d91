"""Where HTTP jobs of a worker may go. Pure: it decides on a name and the address that the name led to."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Self

from scriptfleet.errors import InvalidValue

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SETTING: Final = "SCRIPTFLEET_HTTP_ALLOW"
#: An entry that stands for every address of the public internet.
_PUBLIC: Final = "public"
#: IPv6 addresses that a gateway turns into the IPv4 address in their last 32 bits (RFC 6052).
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class AllowList:
    """Public addresses alone when nothing is listed; else what is listed alone."""

    names: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    has_public: bool = True

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a comma list of host names (``*`` stands for any part), networks, addresses and ``public``.

        Raises InvalidValue for an entry that is none of these.
        """
        entries = [entry.strip().lower().rstrip(".") for entry in text.split(",") if entry.strip()]
        networks = [network for entry in entries if (network := _network(entry)) is not None]
        names = [entry for entry in entries if _network(entry) is None and entry != _PUBLIC]
        return cls(tuple(names), tuple(networks), not entries or _PUBLIC in entries)

    def allows(self, host: str, address: str) -> bool:
        """Tell whether a request for ``host`` may go to ``address``, an IP address in text form.

        A listed name is trusted with whatever address it leads to.
        """
        plain = host.lower().rstrip(".")
        if any(fnmatchcase(plain, name) for name in self.names):
            return True
        meant = _meant(ipaddress.ip_address(address.partition("%")[0]))
        if any(meant in network for network in self.networks if network.version == meant.version):
            return True
        return self.has_public and is_public(meant)


def is_public(address: Address) -> bool:
    """Tell whether an address belongs to the public internet: not loopback, private, link-local or reserved."""
    return address.is_global and not address.is_multicast


def _meant(address: Address) -> Address:
    """Give the IPv4 address that an IPv6 one merely wraps."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    wrapped: Sequence[ipaddress.IPv4Address | None] = (address.ipv4_mapped, address.sixtofour)
    if address in _NAT64:
        wrapped = (ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF),)
    return next((inner for inner in wrapped if inner is not None), address)


def _network(entry: str) -> Network | None:
    if "/" not in entry and not entry[:1].isdigit() and ":" not in entry:
        return None
    try:
        return ipaddress.ip_network(entry, strict=False)
    except ValueError as fault:
        if "/" not in entry and ":" not in entry and any(part.isalpha() for part in entry.split(".")):
            return None
        raise InvalidValue(
            SETTING, entry, f"host names, networks such as 10.0.0.0/8, or {_PUBLIC} ({fault})"
        ) from fault
