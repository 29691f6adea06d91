"""A metric of past runs on the screen: values, aggregates, buckets, with a line that shows how they go."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from scriptfleet.cli.screen import TABLE_WIDTH, moment, note, print_facts, print_json
from scriptfleet.cli.tables import print_table
from scriptfleet.storage import distribution, series
from scriptfleet.storage.engine import Database
from scriptfleet.storage.metric import Metric
from scriptfleet.storage.moments import iso
from scriptfleet.storage.run_filter import RunFilter

_BARS: Final = "▁▂▃▄▅▆▇█"
_NOTHING: Final = "no run has this metric"


def show_values(database: Database, name: str, which: RunFilter, limit: int, as_json: bool) -> None:
    """Print single values, the oldest first."""
    found = list(series.values(database, Metric(name, which), limit))
    if as_json:
        print_json([{"timestamp": iso(one.began_at), **asdict(one), "metric_name": name} for one in found])
    elif found:
        rows = [(moment(one.began_at), one.run_id[:8], one.name or "", number(one.value)) for one in found]
        print_table(("began", "run", "name*", f"{name}>"), rows)
        print(sparkline([one.value for one in found]))
    else:
        note(_NOTHING)


def show_aggregates(database: Database, name: str, which: RunFilter, names: Sequence[str], as_json: bool) -> None:
    """Print aggregates."""
    found = distribution.aggregates(database, Metric(name, which), names)
    if as_json:
        print_json({"metric_name": name, **found})
    else:
        print_facts({"metric": name} | {key: number(value) for key, value in found.items()})


def show_buckets(database: Database, name: str, which: RunFilter, size: str, as_json: bool) -> None:
    """Print buckets, the oldest first."""
    found = series.buckets(database, Metric(name, which), size)
    if as_json:
        print_json([{"timestamp": iso(one.began_at), **asdict(one)} for one in found])
    elif found:
        rows = [
            (moment(one.began_at), str(one.count), *(number(value) for value in (one.min, one.avg, one.max)))
            for one in found
        ]
        print_table(("from", "runs>", "min>", "avg>", "max>"), rows)
        print(sparkline([one.avg for one in found]))
    else:
        note(_NOTHING)


def show_names(database: Database, which: RunFilter, as_json: bool) -> None:
    """Print which metrics there are, and how many runs have each."""
    found = series.counts(database, which)
    if as_json:
        print_json(found)
    else:
        print_table(("metric*", "runs>"), [(name, f"{count:,}") for name, count in found.items()])


def sparkline(values: Sequence[float], width: int = TABLE_WIDTH) -> str:
    """Give a line of bars, at most ``width`` of them, each the mean of as many values; the lowest is the least."""
    size = max(1, -(-len(values) // width))
    means = [sum(part) / len(part) for at in range(0, len(values), size) if (part := values[at : at + size])]
    low, span = min(means), max(means) - min(means)
    return "".join(_BARS[round((mean - low) / span * (len(_BARS) - 1)) if span else 0] for mean in means)


def number(value: float | None) -> str:
    """Give a number with six digits that matter, whole ones whole."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.6g}"
