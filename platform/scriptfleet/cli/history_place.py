"""Which history a verb is about: a fleet's database, or a file of `run`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scriptfleet.cli.fleet_options import add_json
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import load_settings
from scriptfleet.domain.state import State
from scriptfleet.errors import InvalidValue, StoreUnreachable
from scriptfleet.storage import migrate
from scriptfleet.storage.engine import Database
from scriptfleet.storage.moments import end_of, start_of
from scriptfleet.storage.run_filter import RunFilter

_STATES: Final = ("running", "succeeded", "failed", "timed_out", "out_of_memory", "cancelled", "lost")


def add_place(parser: VerbParser) -> None:
    """Add where the history is, and --json."""
    group = parser.add_argument_group("where the history is (else the fleet's database)")
    which = group.add_mutually_exclusive_group()
    which.add_argument("--history-db", type=Path, metavar="FILE", help="the SQLite file of `scriptfleet run`")
    which.add_argument("--database", metavar="URL", help="sqlite:////FOLDER/FILE.db or postgresql://USER@HOST/NAME")
    add_json(parser)


def add_filters(parser: VerbParser) -> None:
    """Add which runs."""
    group = parser.add_argument_group("which runs (else all)")
    group.add_argument("--script", metavar="NAME", help="of this script")
    group.add_argument("--state", choices=_STATES, metavar="STATE", help=f"that are {', '.join(_STATES)}")
    group.add_argument("--group", metavar="NAME", help="of jobs of this group")
    group.add_argument("--label", metavar="NAME=VALUE", help="of jobs with this label")
    group.add_argument("--worker", metavar="NAME", help="of this worker")
    group.add_argument("--since", metavar="WHEN", help="begun then or later: YYYY-MM-DD or ISO 8601 (UTC)")
    group.add_argument("--until", metavar="WHEN", help="begun before; a day counts to its end")


def filter_of(chosen: Namespace) -> RunFilter:
    """Give which runs are meant. Raises InvalidValue."""
    return RunFilter(
        name=chosen.script,
        outcome=None if chosen.state is None else State(chosen.state),
        group_name=chosen.group,
        label=_label(chosen.label),
        worker=chosen.worker,
        since=start_of("--since", chosen.since),
        until=end_of("--until", chosen.until),
    )


@contextmanager
def opened(chosen: Namespace) -> Iterator[Database]:
    """Open the history that the options name. Raises StoreUnreachable when there is none."""
    file: Path | None = chosen.history_db
    if file is not None and not file.exists():
        raise StoreUnreachable(str(file), "no such file: `scriptfleet run SCRIPT` makes it")
    # A file of one's own is brought up to date in passing; a shared database is its owner's to upgrade.
    with migrate.opened(_url(chosen, file), upgrades=file is not None) as database:
        yield database


def _url(chosen: Namespace, file: Path | None) -> str:
    if file is not None:
        return f"sqlite:///{file.absolute()}"
    return load_settings().with_urls(None, chosen.database).store_url()


def _label(said: str | None) -> tuple[str, str] | None:
    if said is None:
        return None
    name, equals, value = said.partition("=")
    if not name or not equals:
        raise InvalidValue("--label", said, "NAME=VALUE")
    return name, value
