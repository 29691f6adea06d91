"""Makes the report's HTML. All that a script said is escaped, and its controls made visible."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from scriptfleet import __version__
from scriptfleet.domain.sample import Sample
from scriptfleet.domain.state import State
from scriptfleet.results import shown
from scriptfleet.results.report import plots
from scriptfleet.storage.run_store import RunRow

#: How much of the end of an output is in the file.
OUTPUT_SHOWN_BYTES: Final = 64 * 1024
_FILTERS = (shown.printable, shown.duration, shown.mebibytes, shown.moment_text)


#: Name, unit, field of a sample, and what of it is one of the unit.
_SERIES: Final = (
    ("CPU", "%", "cpu_percent", 1),
    ("Memory", "MiB", "memory_mb", 1),
    ("Processes", "", "processes", 1),
    ("Read from storage", "MiB", "block_io_read_bytes", 1024 * 1024),
    ("Written to storage", "MiB", "block_io_write_bytes", 1024 * 1024),
)


@dataclass(frozen=True, slots=True)
class Report:
    """What a report is made of."""

    #: The run that it is about, else the newest of the script.
    run: RunRow
    curve: Sequence[Sample]
    #: By stream, the end of what it wrote.
    outputs: Sequence[tuple[str, bytes]]
    #: Runs of the same script, the oldest first.
    history: Sequence[RunRow]
    is_of_script: bool
    #: Seconds since the epoch.
    made_at: float


def html(report: Report) -> str:
    """Give the file's text."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update({one.__name__: one for one in _FILTERS})
    return templates.get_template("report.html").render(
        report=report,
        run=report.run,
        NOTHING=shown.NOTHING,
        version=__version__,
        measures=shown.measure_rows(report.run.usage),
        curves=_curves(report),
        trends=_trends(report.history),
        outputs=[(stream, shown.printable_bytes(body)) for stream, body in report.outputs if body],
    )


def _curves(report: Report) -> list[tuple[str, Markup]]:
    if not report.curve:
        return []
    drawn = []
    for name, unit, field, scale in _SERIES:
        known = [
            (point.seconds, value / scale) for point in report.curve if (value := getattr(point, field)) is not None
        ]
        if known:
            drawn.append((name, plots.line(known, f"{name} over the run's time", unit)))
    return drawn


def _trends(history: Sequence[RunRow]) -> list[tuple[str, Markup]]:
    if not history:
        return []
    ends = (shown.moment_text(history[0].began_at), shown.moment_text(history[-1].began_at))
    kinds = (
        ("Wall time", "s", [run.usage.execution_time_seconds for run in history]),
        ("CPU time", "s", [run.usage.cpu_seconds for run in history]),
        ("Peak memory", "MiB", [run.usage.memory_max_mb for run in history]),
    )
    good = [run.outcome in (None, State.SUCCEEDED) for run in history]
    return [
        (name, plots.bars(list(zip(values, good, strict=True)), f"{name} of each run", unit, ends))
        for name, unit, values in kinds
        if any(value is not None for value in values)
    ]
