"""A cost curve as pages draw it: a list for each series, with so few points that a browser draws them at once."""

from collections.abc import Sequence
from typing import Final

from scriptfleet.domain.sample import Sample

_MOST_POINTS: Final = 600


def together(left: Sequence[Sample], right: Sequence[Sample]) -> list[list[float | None]]:
    """Give two curves over one axis of seconds: CPU of both, then memory of both; None where one has no point."""
    curves = [chart_data(curve) for curve in (left, right)]
    moments = sorted({at for curve in curves for at in curve[0]})
    known = [[dict(zip(curve[0], curve[series], strict=True)) for curve in curves] for series in (1, 2)]
    return [[*moments], *([points.get(at) for at in moments] for series in known for points in series)]


def chart_data(curve: Sequence[Sample]) -> list[list[float]]:
    """Give seconds, CPU percents and resident MiB. Of many points those stay that are the highest of theirs."""
    step = max(1, -(-len(curve) // _MOST_POINTS))
    parts = [curve[at : at + step] for at in range(0, len(curve), step)]
    return [
        [round(part[-1][0], 3) for part in parts],
        [round(max(point[1] for point in part), 1) for part in parts],
        [round(max(point[2] for point in part), 2) for part in parts],
    ]
