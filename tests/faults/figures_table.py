"""The table of all trials at the end of `make faults`, and the same as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.faults.trial import Figures

_HEADS = ("fault", "jobs", "runs", "again", "restart s", "first s", "settled s")


def write_json(path: Path, figures: Sequence[Figures], size: str) -> None:
    """Write the figures beside those of the benchmarks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"size": size, "faults": [asdict(one) for one in figures]}, indent=2) + "\n")


def lines(figures: Sequence[Figures]) -> list[str]:
    """Give the table's lines, at most 80 columns wide."""
    rows = [_HEADS, *(_cells(one) for one in figures)]
    return [
        f"{row[0]:<30}" + "".join(f"{cell:>10}" if at > 2 else f"{cell:>6}" for at, cell in enumerate(row[1:], 1))
        for row in rows
    ]


def _cells(one: Figures) -> tuple[str, ...]:
    counts = (str(one.jobs), str(one.runs), str(one.again))
    return (one.fault, *counts, _seconds(one.slowest_restart), _seconds(one.first_start), _seconds(one.settled))


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
