"""What a job's page shows of the script that travelled with it, while the broker has it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from scriptfleet.config import NoFleet
from scriptfleet.domain.kinds import PYTHON_FUNCTION, Source
from scriptfleet.domain.masked_source import masked_source
from scriptfleet.errors import BlobMissing, BrokerUnreachable
from scriptfleet.queues import bundle
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import told_plainly
from scriptfleet.results import shown

#: How much of a script a page shows.
SHOWN_BYTES: Final = 64 * 1024
#: A larger script is not fetched for a look at its beginning.
_MOST_FETCHED: Final = 4 * 1024 * 1024
_HIDDEN: Final = "What looks like a secret is hidden."


class SourceView(NamedTuple):
    """A script to be shown: its file's name and its size, its text if it is to be had, and what people should know."""

    name: str
    size: str
    text: str | None
    note: str


def source_view(broker: Broker, spec: Mapping[str, Any]) -> SourceView | None:
    """Give the source of a job's spec; None for a job that brought none."""
    if "source" not in spec:
        return None
    source = Source.from_dict(spec["source"])
    name = _entry_of(spec)
    if source.size_bytes > _MOST_FETCHED:
        return _untold(name, source, "It is too large to be shown here.")
    try:
        with told_plainly(broker.url):
            content = broker.blobs.get(source.sha256, source.size_bytes)
    except BlobMissing:
        return _untold(name, source, "Its bytes are no longer in the broker, which keeps them for a week.")
    except (NoFleet, BrokerUnreachable):
        return _untold(name, source, "The broker, which has its bytes, is away.")
    return _told(name, source, content, broker.settings.secret_prefixes)


def kept_source(spec: Mapping[str, Any], content: bytes | None, secret_prefixes: Sequence[str]) -> SourceView | None:
    """Give the source of a definition's spec, whose bytes are in the store; None for one that has none."""
    if content is None:
        return None
    return _told(_entry_of(spec), Source.from_dict(spec["source"]), content, secret_prefixes)


def source_name(spec: Mapping[str, Any]) -> str | None:
    """Give the name of the file that a spec's source begins with, as it is shown; None where there is no source."""
    return shown.printable(_entry_of(spec)) if "source" in spec else None


def _entry_of(spec: Mapping[str, Any]) -> str:
    config = spec.get("config") or {}
    if spec["kind"] == PYTHON_FUNCTION:
        return f"{config['module'].replace('.', '/')}.py"
    return str(config.get("entry", "source"))


def _untold(name: str, source: Source, why: str) -> SourceView:
    return SourceView(shown.printable(name), _size(source), None, why)


def _told(name: str, source: Source, content: bytes, secret_prefixes: Sequence[str]) -> SourceView:
    start = bundle.start_of(content, name, SHOWN_BYTES + 1) if source.form == "bundle" else content[: SHOWN_BYTES + 1]
    if start is None:
        return _untold(name, source, "Its bundle has no plain file of this name.")
    text = masked_source(start[:SHOWN_BYTES].decode("utf-8", "replace"), secret_prefixes)
    cut = f"The first {SHOWN_BYTES // 1024} KiB of it. " if len(start) > SHOWN_BYTES else ""
    return SourceView(shown.printable(name), _size(source), shown.printable(text), cut + _HIDDEN)


def _size(source: Source) -> str:
    return f"{shown.size(source.size_bytes)}{' with its folder' if source.form == 'bundle' else ''}"
