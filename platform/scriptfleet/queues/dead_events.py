"""Facts that no store could take: they stay in the broker with the reason, until somebody looks."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from scriptfleet.errors import InvalidValue
from scriptfleet.queues.connection import told_plainly

if TYPE_CHECKING:
    from scriptfleet.queues.client import Broker

_BATCH: Final = 100
_ENTRY: Final = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class DeadEvent:
    """One fact that was set aside. What of it could not be read is None."""

    #: Its place among the dead.
    entry: str
    #: When it was set aside, seconds since the epoch by the server's clock.
    buried_at: float
    type: str | None
    job_id: str | None
    reason: str
    size_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON data."""
        return asdict(self)


class DeadEvents:
    """The stream of the dead. Each method raises BrokerUnreachable, and InvalidValue for what is no entry."""

    def __init__(self, broker: "Broker") -> None:
        self._broker, self._stream = broker, broker.keys("events", "dead")

    def newest(self, limit: int) -> list[DeadEvent]:
        """Give those that were set aside last."""
        with told_plainly(self._broker.url):
            found = self._broker.redis.xrevrange(self._stream, count=limit)
        return [_event(entry.decode(), fields) for entry, fields in found]

    def count(self) -> int:
        """Give how many there are."""
        with told_plainly(self._broker.url):
            return int(self._broker.redis.xlen(self._stream))

    def entries(self) -> list[str]:
        """Give the places of all of them, the oldest first."""
        found: list[str] = []
        with told_plainly(self._broker.url):
            while batch := self._broker.redis.xrange(self._stream, f"({found[-1]}" if found else "-", count=_BATCH):
                found += [entry.decode() for entry, _ in batch]
        return found

    def reingest(self, entries: Sequence[str]) -> int:
        """Put facts back among those to be stored, in this order; give how many there were.

        Where no store can take them still, they come back. Facts are ordered by their revision, so a late one is
        harmless.
        """
        done = 0
        for batch in _batches(entries):
            with told_plainly(self._broker.url):
                done += sum(1 for entry in self._broker.scripts.call("revive", *batch) if entry)
        return done

    def remove(self, entries: Sequence[str]) -> int:
        """Forget facts for good; give how many there were."""
        done = 0
        for batch in _batches(entries):
            with told_plainly(self._broker.url):
                done += int(self._broker.redis.xdel(self._stream, *batch))
        return done


def _batches(entries: Sequence[str]) -> Iterator[Sequence[str]]:
    for entry in entries:
        if not _ENTRY.fullmatch(entry):
            raise InvalidValue(
                "entry", entry, "an entry as `scriptfleet dead events` lists it, such as 1770000000000-0"
            )
    for start in range(0, len(entries), _BATCH):
        yield entries[start : start + _BATCH]


def _event(entry: str, fields: dict[bytes, bytes]) -> DeadEvent:
    def text(name: bytes) -> str | None:
        return fields[name].decode(errors="replace") if name in fields else None

    return DeadEvent(
        entry=entry,
        buried_at=int(entry.partition("-")[0]) / 1000,
        type=text(b"t"),
        job_id=text(b"j"),
        reason=text(b"reason") or "",
        size_bytes=sum(len(value) for value in fields.values()),
    )
