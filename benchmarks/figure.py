"""A figure: one measured number, its budget, and the peer it was taken beside."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


class BenchmarkFailed(Exception):
    """A benchmark could not be taken: a part did not start, or did not do what was asked of it."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A bound on a figure, in the figure's own unit."""

    limit: float
    #: Whether the figure should be at least, not at most, the limit.
    is_floor: bool = False

    def holds(self, value: float) -> bool:
        """Tell whether the value is within it."""
        return value >= self.limit if self.is_floor else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.is_floor else '≤'} {_number(self.limit)}"


def at_most(limit: float) -> Budget:
    """Give a budget from above."""
    return Budget(limit)


def at_least(limit: float) -> Budget:
    """Give a budget from below."""
    return Budget(limit, is_floor=True)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    name: str
    #: None where this machine cannot give it.
    value: float | None
    unit: str
    budget: Budget | None = None
    #: What it is compared with, and that one's number in the same unit.
    peer: str | None = None
    peer_value: float | None = None
    #: What it was made of: sample counts, other percentiles, parts.
    detail: Mapping[str, float | int | str] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """This figure over its peer's."""
        return self.value / self.peer_value if self.value is not None and self.peer_value else None

    @property
    def is_in_budget(self) -> bool | None:
        """Whether the budget holds; None without budget or value."""
        return None if self.budget is None or self.value is None else self.budget.holds(self.value)

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON data."""
        return {**asdict(self), "ratio": self.ratio, "is_in_budget": self.is_in_budget}


_HEAD = ("figure", "value", "budget", "in budget", "peer", "ratio")


def table(figures: Sequence[Figure]) -> str:
    """Give the figures as a table of text."""
    rows = [_HEAD, *(_row(figure) for figure in figures)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _row(figure: Figure) -> tuple[str, ...]:
    verdict = {None: "", True: "yes", False: "NO"}[figure.is_in_budget]
    peer = "" if figure.peer is None else f"{figure.peer}: {_with_unit(figure.peer_value, figure.unit)}"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    budget = "" if figure.budget is None else f"{figure.budget} {figure.unit}"
    return (figure.name, _with_unit(figure.value, figure.unit), budget, verdict, peer, ratio)


def _with_unit(value: float | None, unit: str) -> str:
    return "not on this machine" if value is None else f"{_number(value)} {unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
