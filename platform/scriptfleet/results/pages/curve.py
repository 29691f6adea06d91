"""A cost curve as pages draw it: a list for each series, with so few points that a browser draws them at once."""

from collections.abc import Callable, Sequence, Set
from typing import Final

from scriptfleet.domain.sample import Sample
from scriptfleet.domain.sample_gaps import gaps_of

#: What breaks a line, below all that is ever measured; None is a moment at which that line has no point.
GAP: Final = -1.0
_MOST_POINTS: Final = 600
_MIB: Final = 1024 * 1024

Series = list[float | None]


def together(left: Sequence[Sample], right: Sequence[Sample]) -> list[Series]:
    """Give two curves over one axis of seconds: of each series of chart_data() first the left one, then the right."""
    charts = [chart_data(curve) for curve in (left, right)]
    moments = sorted({at for chart in charts for at in chart[0] if at is not None})
    return [[*moments], *(_along(moments, chart, at) for at in range(1, len(charts[0])) for chart in charts)]


def _along(moments: Sequence[float], chart: Sequence[Series], at: int) -> Series:
    """Give a series of a chart at other moments. A gap holds at all moments within it: there the other has points."""
    points = dict(zip(chart[0], chart[at], strict=True))
    found: Series = []
    is_gap = False
    for moment in moments:
        value = points.get(moment)
        if moment in points:
            is_gap = value == GAP
        found.append(GAP if is_gap else value)
    return _backwards(found, set(points), moments)


def _backwards(series: Series, own: Set[float | None], moments: Sequence[float]) -> Series:
    is_gap = False
    for at in reversed(range(len(series))):
        if moments[at] in own:
            is_gap = series[at] == GAP
        elif is_gap:
            series[at] = GAP
    return series


def chart_data(curve: Sequence[Sample]) -> list[Series]:
    """Give seconds, CPU percents, resident MiB, MiB read and MiB written a second.

    Of many points those stay that are the highest of theirs. Where samples are missing, all lines are broken.
    """
    step = max(1, -(-len(curve) // _MOST_POINTS))
    parts = [curve[at : at + step] for at in range(0, len(curve), step)]
    chart: list[Series] = [
        [round(part[-1].seconds, 3) for part in parts],
        [round(max(point.cpu_percent for point in part), 1) for part in parts],
        [round(max(point.memory_mb for point in part), 2) for part in parts],
        _rates([part[-1] for part in parts], lambda point: point.block_io_read_bytes),
        _rates([part[-1] for part in parts], lambda point: point.block_io_write_bytes),
    ]
    for gap in reversed(gaps_of([part[-1].seconds for part in parts])):
        before = parts[gap.at][-1].seconds
        chart[0].insert(gap.at + 1, round(before + gap.seconds / 2, 3))
        for series in chart[1:]:
            series.insert(gap.at + 1, GAP)
    return chart


def missed_samples(curve: Sequence[Sample]) -> str:
    """Say what a curve lacks; empty where it lacks nothing."""
    found = gaps_of([point.seconds for point in curve])
    if not found:
        return ""
    count, seconds = sum(gap.samples for gap in found), sum(gap.seconds for gap in found)
    return f"{count:,} sample{'s' if count > 1 else ''} missed, in gaps of {seconds:.1f} s altogether."


def _rates(points: Sequence[Sample], total: Callable[[Sample], int | None]) -> Series:
    """Give what each point adds to a total, in MiB a second since the point before it."""
    rates: Series = []
    before_at, before = 0.0, 0
    for point in points:
        now = total(point)
        wait = point.seconds - before_at
        rates.append(None if now is None or wait <= 0 else round(max(0, now - before) / wait / _MIB, 3))
        if now is not None:
            before_at, before = point.seconds, now
    return rates
