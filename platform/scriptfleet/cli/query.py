"""``scriptfleet query``: a metric of past runs: its values, aggregates, or buckets in time."""

from scriptfleet.cli import metric_view
from scriptfleet.cli.amounts import count
from scriptfleet.cli.history_place import add_filters, add_place, filter_of, opened
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.distribution import AGGREGATES
from scriptfleet.storage.series import BUCKETS

_DEFAULT_LIMIT = 1000


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    # The options that exclude each other would stand on one line.
    parser.usage = "%(prog)s [options] [METRIC]"
    parser.add_argument("metric", nargs="?", metavar="METRIC", help="such as cpu_max, memory_max_mb or custom.NAME")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--aggregate", choices=AGGREGATES, metavar="NAME", help=f"one of {', '.join(AGGREGATES)}")
    how.add_argument("--aggregations", action="store_true", help="all aggregates")
    how.add_argument(
        "--bucket", choices=list(BUCKETS), metavar="TIME", help=f"a line for each {', '.join(BUCKETS)} (UTC)"
    )
    how.add_argument("--metrics-list", action="store_true", help="the metrics there are, and how many runs have each")
    parser.add_argument("--limit", type=count, default=_DEFAULT_LIMIT, metavar="N", help="at most N values (else 1000)")
    add_filters(parser)
    add_place(parser)
    parser.show_examples(
        "scriptfleet query --metrics-list --script train.py",
        "scriptfleet query cpu_max --script train.py --since 2026-03-01",
        "scriptfleet query memory_max_mb --aggregations",
        "scriptfleet query custom.rows --bucket 1day --history-db runs.db",
    )


def execute(chosen: Namespace) -> int:
    """Answer it."""
    if (chosen.metric is None) != chosen.metrics_list:
        raise InvalidValue("metric", chosen.metric, "the name of a metric, or --metrics-list alone")
    which = filter_of(chosen)
    with opened(chosen) as database:
        if chosen.metrics_list:
            metric_view.show_names(database, which, chosen.as_json)
        elif chosen.bucket:
            metric_view.show_buckets(database, chosen.metric, which, chosen.bucket, chosen.as_json)
        elif chosen.aggregate or chosen.aggregations:
            names = [chosen.aggregate] if chosen.aggregate else AGGREGATES
            metric_view.show_aggregates(database, chosen.metric, which, names, chosen.as_json)
        else:
            metric_view.show_values(database, chosen.metric, which, chosen.limit, chosen.as_json)
    return 0
