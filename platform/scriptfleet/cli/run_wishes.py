"""What a call of ``run`` wants beside the job: from its options, and from the configuration file behind them."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from scriptfleet.cli.amounts import count, days, interval
from scriptfleet.cli.plain_words import Namespace
from scriptfleet.cli.tool_log import LEVELS
from scriptfleet.config import RUN_INTERVAL_SECONDS, own_environment
from scriptfleet.domain.value import value
from scriptfleet.errors import InvalidValue

if TYPE_CHECKING:
    from scriptfleet.cli.verb_parser import VerbParser

#: In the folder where `run` is called.
DEFAULT_HISTORY: Final = "script_runner_history.db"
_SQLITE: Final = "sqlite:///"
_SCHEMES: Final = (_SQLITE, "postgresql://", "postgres://")


@value(frozen=True, slots=True)
class HistoryPlace:
    """Where history is: a SQLite file, or another database by its address."""

    path: Path | None
    url: str


@value(frozen=True, slots=True)
class RunWishes:
    """How to run and what to keep of it."""

    interval_seconds: float
    log_level: str
    #: Where history is, also when this run is not kept in it.
    history: HistoryPlace
    is_kept: bool
    #: After each run, jobs that ended longer ago are deleted; None means that nothing is.
    retention_days: int | None


def add_watching(parser: "VerbParser") -> None:
    """Add how it is watched and what this tool says."""
    group = parser.add_argument_group("watching")
    group.add_argument("--monitor-interval", type=interval, metavar="SECONDS", help="between readings (else 0.1)")
    group.add_argument("--config", type=Path, metavar="FILE", help="YAML: retry, database, monitoring; options win")
    group.add_argument(
        "--log-level", type=str.upper, choices=LEVELS, help="how much this tool says, the cost at INFO (else INFO)"
    )
    group.add_argument("--suppress-warnings", action="store_true", help="leave out this tool's warnings")


def add_history(parser: "VerbParser") -> None:
    """Add where runs are kept, and looking back at them."""
    group = parser.add_argument_group("history")
    which = group.add_mutually_exclusive_group()
    which.add_argument("--history-db", type=Path, metavar="FILE", help=f"SQLite file (else {DEFAULT_HISTORY} here)")
    which.add_argument("--disable-history", action="store_true", help="do not keep this run")
    group.add_argument("--show-history", action="store_true", help="list past runs, of SCRIPT if one is named")
    group.add_argument("--history-days", type=days, metavar="N", help="list the last N days (else 30)")
    group.add_argument("--history-limit", type=count, metavar="N", help="list at most N (else 50)")
    group.add_argument("--db-stats", action="store_true", help="show how much is kept")
    group.add_argument("--cleanup-old", type=days, metavar="DAYS", help="delete what ended longer ago")


def wishes_of(chosen: Namespace) -> RunWishes:
    """Give what the options and the file say together; options win.

    What the file says of retries is left in ``chosen.retry_defaults``. Raises InvalidValue.
    """
    if chosen.config is None:
        place = _place(chosen.history_db, None, None)
        return _wishes(chosen, place, RUN_INTERVAL_SECONDS, "INFO", None)
    # YAML takes longer to load than a short script to run.
    from scriptfleet.cli import config_file  # noqa: PLC0415

    file = config_file.read(chosen.config, own_environment())
    chosen.retry_defaults = file.retry
    place = _place(chosen.history_db, file.history_path, file.history_url)
    seconds = file.sampling_interval or RUN_INTERVAL_SECONDS
    days = file.retention_days if file.auto_cleanup else None
    return _wishes(chosen, place, seconds, file.log_level or "INFO", days)


def check_can_write(option: str, path: Path | None) -> None:
    """Raise InvalidValue for a file that cannot be made: found out before the run, not after hours of it."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise InvalidValue(option, str(path), "a file in a folder that exists")


def _wishes(chosen: Namespace, place: HistoryPlace, seconds: float, level: str, days: int | None) -> RunWishes:
    return RunWishes(
        interval_seconds=chosen.monitor_interval or seconds,
        log_level=chosen.log_level or level,
        history=place,
        is_kept=not chosen.disable_history,
        retention_days=days,
    )


def _place(named: Path | None, path: Path | None, url: str | None) -> HistoryPlace:
    check_can_write("--history-db", named)
    check_can_write("database.path", path)
    if named is None and path is None and url is not None:
        return _of_url(url)
    chosen = (named or path or Path(DEFAULT_HISTORY)).absolute()
    return HistoryPlace(chosen, f"{_SQLITE}{chosen}")


def _of_url(url: str) -> HistoryPlace:
    if not url.startswith(_SCHEMES):
        raise InvalidValue("database.url", url.partition(":")[0], "sqlite:////FOLDER/FILE.db or postgresql://…")
    if not url.startswith(_SQLITE):
        return HistoryPlace(None, url)
    path = Path(url.removeprefix(_SQLITE)).absolute()
    check_can_write("database.url", path)
    return HistoryPlace(path, f"{_SQLITE}{path}")
