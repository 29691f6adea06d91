"""The files that a run kept, and where their bytes are."""

from dataclasses import dataclass
from urllib.parse import quote

from scriptfleet.config import NoFleet
from scriptfleet.domain.run import Artifact
from scriptfleet.errors import BrokerUnreachable
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import told_plainly
from scriptfleet.storage.run_store import RunRow


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file, and whether its bytes are still to be had."""

    name: str
    size_bytes: int
    sha256: str
    is_here: bool
    address: str


def kept_files(broker: Broker, run: RunRow) -> list[KeptFile]:
    """Give them; where the broker can't be asked, each as if its bytes were here: the link then tells."""
    kept = run.artifacts or []
    if not kept:
        return []
    try:
        with told_plainly(broker.url):
            here = broker.blobs.kept([one.sha256 for one in kept])
    except (NoFleet, BrokerUnreachable):
        here = {one.sha256 for one in kept}
    return [KeptFile(one.name, one.size_bytes, one.sha256, one.sha256 in here, _address(run, one)) for one in kept]


def _address(run: RunRow, kept: Artifact) -> str:
    # A browser shortens an address with dots for a folder in it.
    is_plain = not {"", ".", ".."} & set(kept.name.split("/"))
    named = quote(kept.name, safe="/", errors="replace") if is_plain else kept.sha256
    return f"/api/v1/runs/{quote(run.run_id, safe='')}/artifacts/{named}"
