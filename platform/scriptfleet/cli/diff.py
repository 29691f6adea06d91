"""``scriptfleet diff``: two runs side by side, what differs most first."""

import dataclasses
import json
from typing import Final

from scriptfleet.cli import kept_runs
from scriptfleet.cli.history_place import add_place, opened
from scriptfleet.cli.kept_runs import KeptRun
from scriptfleet.cli.screen import UNKNOWN, moment, print_json
from scriptfleet.cli.tables import print_table
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import load_settings
from scriptfleet.domain.difference import Difference, differences, spec_differences

_LONGEST_CELL: Final = 200
_SHOWN_AS_FACTOR: Final = 10


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument("a", metavar="A", help="the id of a run, or of a job for its last run; may be cut short")
    parser.add_argument("b", metavar="B", help="the other one")
    add_place(parser)
    parser.show_examples(
        "scriptfleet diff 4f0c2a9e 81bb03d1",
        "scriptfleet diff 4f0c2a9e 81bb03d1 --json",
        "scriptfleet diff 4f0c2a9e 81bb03d1 --history-db script_runner_history.db",
    )


def execute(chosen: Namespace) -> int:
    """Compare them; the exit code is 0 whether they differ or not."""
    prefixes = load_settings().secret_prefixes
    with opened(chosen) as database:
        one, other = (kept_runs.find(database, text, prefixes) for text in (chosen.a, chosen.b))
    measures = differences(_flat(one), _flat(other))
    specs = spec_differences(one.spec or {}, other.spec or {})
    if chosen.as_json:
        ids = {"a": one.run.run_id, "b": other.run.run_id}
        print_json({**ids, "measures": _plain(measures), "spec": _plain(specs)})
        return 0
    _show_runs(one, other)
    _show("measure*", measures)
    _show("spec*", specs)
    if not measures and not specs:
        print("\nnothing differs")
    return 0


def _flat(kept: KeptRun) -> dict[str, object]:
    run = kept.run
    facts = {"outcome": None if run.outcome is None else str(run.outcome), "worker": run.worker, "attempt": run.attempt}
    return {**facts, **run.usage.to_dict()}


def _plain(found: list[Difference]) -> list[dict[str, object]]:
    return [dataclasses.asdict(one) for one in found]


def _show_runs(one: KeptRun, other: KeptRun) -> None:
    rows = [
        (
            mark,
            kept.run.run_id[:8],
            kept.run.name or UNKNOWN,
            str(kept.run.outcome or "running"),
            moment(kept.run.began_at),
        )
        for mark, kept in (("A", one), ("B", other))
    ]
    print_table(("", "run", "name*", "outcome", "began"), rows)


def _show(heading: str, found: list[Difference]) -> None:
    if not found:
        return
    print()
    rows = [(one.name, _cell(one.before), _cell(one.after), _change(one)) for one in found]
    print_table((heading, "A*", "B*", "change>"), rows)


def _cell(value: object) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, float):
        return f"{value:,.6g}"
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))[:_LONGEST_CELL]


def _change(one: Difference) -> str:
    """Give how much B has more than A, in percent of A, or how many times as much."""
    if one.relative is None:
        return ""
    if not one.before:
        return "new"
    factor = one.after / one.before
    return f"{factor:,.1f} times" if factor >= _SHOWN_AS_FACTOR else f"{factor - 1:+.1%}"
