"""Reads server-sent events as a browser does."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Event:
    """One event."""

    name: str
    data: Any
    id: str | None


@contextmanager
def followed(url: str, last_event_id: str | None = None) -> Iterator[Iterator[Event]]:
    """Connect, and give the events as they come; leaving the block cuts the line."""
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    with httpx.stream("GET", url, headers=headers, timeout=60) as answer:
        assert answer.status_code == 200, answer.read()
        yield _events(answer)


def _events(answer: httpx.Response) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        if "event" in fields:
            yield Event(fields["event"], json.loads(fields["data"]), fields.get("id"))
        fields = {}


def text_of(events: list[Event], stream: str = "stdout") -> str:
    """Give what the events show of a stream."""
    return "".join(one.data["text"] for one in events if one.name == "output" and one.data["stream"] == stream)
