"""``scriptfleet history``: past runs of the fleet, or of a history file."""

from scriptfleet.cli.amounts import count
from scriptfleet.cli.history_place import add_filters, add_place, filter_of, opened
from scriptfleet.cli.run_table import newest, print_runs
from scriptfleet.cli.verb_parser import Namespace, VerbParser

_DEFAULT_LIMIT = 50


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    add_filters(parser)
    parser.add_argument("--limit", type=count, default=_DEFAULT_LIMIT, metavar="N", help="at most N (else 50)")
    add_place(parser)
    parser.show_examples(
        "scriptfleet history --script train.py --state failed",
        "scriptfleet history --label team=data --since 2026-03-01 --limit 200",
        "scriptfleet history --history-db script_runner_history.db --json",
    )


def execute(chosen: Namespace) -> int:
    """Print them, the last begun first."""
    which = filter_of(chosen)
    with opened(chosen) as database:
        print_runs(list(newest(database, which, chosen.limit)), chosen.as_json, "no such runs")
    return 0
