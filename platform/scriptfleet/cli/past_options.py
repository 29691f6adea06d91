"""Options of ``run`` that ask its history instead of running a script; verbs of the same meaning stand beside them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scriptfleet.cli.amounts import count, days
from scriptfleet.cli.plain_words import Namespace
from scriptfleet.errors import InvalidValue

if TYPE_CHECKING:
    from scriptfleet.cli.verb_parser import VerbParser

#: As storage has them, which takes half a second to load: a test compares.
AGGREGATES: Final = ("min", "max", "avg", "sum", "count", "median", "p50", "p90", "p95", "p99")
BUCKETS: Final = ("5min", "15min", "1hour", "1day")
FORMATS: Final = ("csv", "json", "jsonl", "parquet")
PRESETS: Final = ("SOC2", "HIPAA", "GDPR")

#: Options that ask something, each with those that say more of it.
_ASKING: Final[dict[tuple[str, ...], tuple[str, ...]]] = {
    ("query_metric", "metrics_list"): ("query_script", "query_start", "query_end"),
    ("query_metric",): ("query_limit", "aggregate", "aggregations", "bucket"),
    ("export_output",): ("export_format", "export_script", "export_metric", "export_start_date", "export_end_date"),
    ("add_retention_policy",): ("retention_days", "archive_path", "compliance_mode"),
    ("apply_retention_policy",): ("retention_dry_run",),
    ("list_retention_policies",): (),
}


def add_past(parser: "VerbParser") -> None:
    """Add them."""
    _add_query(parser)
    _add_export(parser)
    _add_retention(parser)


def asks_past(chosen: Namespace) -> bool:
    """Tell whether the call asks history. Raises InvalidValue for an option without the one that it belongs to."""
    for mains, others in _ASKING.items():
        if not any(getattr(chosen, main) for main in mains):
            _refuse_alone(chosen, mains, others)
    return any(getattr(chosen, main) for mains in _ASKING for main in mains)


def _refuse_alone(chosen: Namespace, mains: tuple[str, ...], others: tuple[str, ...]) -> None:
    for other in others:
        value: Any = getattr(chosen, other)
        if value not in {None, False}:
            beside = " or ".join(f"--{main.replace('_', '-')}" for main in mains)
            raise InvalidValue(f"--{other.replace('_', '-')}", value, f"{beside} beside it")


def _add_query(parser: "VerbParser") -> None:
    group = parser.add_argument_group("metrics of past runs (as `scriptfleet query`)")
    group.add_argument("--query-metric", metavar="METRIC", help="show a metric, such as cpu_max or custom.NAME")
    group.add_argument("--query-script", metavar="NAME", help="of this script alone")
    group.add_argument("--query-start", metavar="YYYY-MM-DD", help="from this day on (UTC)")
    group.add_argument("--query-end", metavar="YYYY-MM-DD", help="to the end of this day")
    group.add_argument("--query-limit", type=count, metavar="N", help="at most N values (else 1000)")
    how = group.add_mutually_exclusive_group()
    how.add_argument("--aggregate", choices=AGGREGATES, help="one aggregate of it")
    how.add_argument("--aggregations", action="store_true", help="all aggregates of it")
    how.add_argument("--bucket", choices=BUCKETS, help="a line for each piece of time")
    group.add_argument("--metrics-list", action="store_true", help="list the metrics there are")


def _add_export(parser: "VerbParser") -> None:
    group = parser.add_argument_group("exporting past runs (as `scriptfleet export`)")
    group.add_argument("--export-output", type=Path, metavar="FILE", help="write past runs to this file")
    group.add_argument("--export-format", choices=FORMATS, help="its format (else by FILE's ending, else csv)")
    group.add_argument("--export-script", metavar="NAME", help="only this script")
    group.add_argument("--export-metric", metavar="METRIC", help="only this metric, a row a value")
    group.add_argument("--export-start-date", metavar="YYYY-MM-DD", help="from this day on (UTC)")
    group.add_argument("--export-end-date", metavar="YYYY-MM-DD", help="to the end of this day")


def _add_retention(parser: "VerbParser") -> None:
    group = parser.add_argument_group("keeping past runs (as `scriptfleet retention`)")
    group.add_argument("--add-retention-policy", metavar="NAME", help="define a policy")
    group.add_argument("--retention-days", type=days, metavar="N", help="how long to keep (else the preset's, else 90)")
    group.add_argument("--archive-path", type=Path, metavar="FOLDER", help="archive what is deleted there")
    group.add_argument("--compliance-mode", choices=PRESETS, help="preset rules (see docs/history.md)")
    group.add_argument("--apply-retention-policy", metavar="NAME", help="delete what a policy does not keep")
    group.add_argument("--retention-dry-run", action="store_true", help="count only")
    group.add_argument("--list-retention-policies", action="store_true", help="list policies")
