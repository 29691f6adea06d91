"""Plots as SVG text: a line over time, or a bar for each run. They hold numbers and words of ours alone."""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

Point = tuple[float, float]

_WIDTH, _HEIGHT = 720, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 14, 26
_TICKS: Final = 4
#: A line needs no more points than there are pixels.
_MOST_POINTS: Final = 1000


def line(points: Sequence[Point], label: str, unit: str) -> Markup:
    """Draw a line over seconds; ``label`` says what it shows to those who do not see it."""
    thinned = points[:: max(1, len(points) // _MOST_POINTS)]
    right, top = max((at for at, _ in thinned), default=0) or 1, _round_up(max((y for _, y in thinned), default=0))
    drawn = " ".join(f"{_x(at / right):.1f},{_y(value / top):.1f}" for at, value in thinned)
    area = f"{_x(0):.1f},{_y(0):.1f} {drawn} {_x(thinned[-1][0] / right):.1f},{_y(0):.1f}" if thinned else ""
    shape = f'<polygon class="area" points="{area}"/><polyline class="line" points="{drawn}"/>'
    return _framed(shape, label, _grid(top, unit) + _below("0 s", f"{right:,.4g} s"))


def bars(values: Sequence[tuple[float | None, bool]], label: str, unit: str, ends: tuple[str, str]) -> Markup:
    """Draw a bar for each value, those of runs that did not succeed in another colour; None leaves a gap."""
    top = _round_up(max((value for value, _ in values if value is not None), default=0))
    wide = (_WIDTH - _LEFT - _RIGHT) / max(1, len(values))
    shapes = [
        f'<rect class="{"good" if is_good else "bad"}" x="{_LEFT + at * wide:.1f}" y="{_y(value / top):.1f}" '
        f'width="{max(0.5, wide * 0.85):.1f}" height="{max(0.5, _y(0) - _y(value / top)):.1f}"/>'
        for at, (value, is_good) in enumerate(values)
        if value is not None
    ]
    return _framed("".join(shapes), label, _grid(top, unit) + _below(*ends))


def _framed(shapes: str, label: str, around: str) -> Markup:
    opening = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{Markup.escape(label)}">'
    # Of ours: numbers, and words that are escaped.
    return Markup(f"{opening}{around}{shapes}</svg>")  # noqa: S704


def _grid(top: float, unit: str) -> str:
    parts = []
    # Of what is counted, there are no quarters.
    ticks = _TICKS if unit else next((of for of in (4, 5, 2) if top % of == 0), 1)
    for tick in range(ticks + 1):
        share = tick / ticks
        y = _y(share)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        said = f"{top * share:,.4g}" + (f" {Markup.escape(unit)}" if unit and tick == ticks else "")
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{said}</text>')
    return "".join(parts)


def _below(left: str, right: str) -> str:
    y = _HEIGHT - 6
    return (
        f'<text x="{_LEFT}" y="{y}">{Markup.escape(left)}</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{y}" text-anchor="end">{Markup.escape(right)}</text>'
    )


def _x(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _round_up(value: float) -> float:
    """Give the next of 1, 2, 4, 5, 8 and 10 times a power of ten, so that ticks are short numbers."""
    if value <= 0:
        return 1.0
    step = 10.0 ** (len(f"{int(value)}") - 1) if value >= 1 else 10.0 ** -(len(f"{1 / value:.0f}"))
    return next((step * of for of in (1, 2, 4, 5, 8, 10, 20, 40, 50, 80, 100) if value <= step * of), value)
