"""A curve of bounded size: when it is full, every other point goes and new ones come half as often."""

from collections.abc import Sequence
from typing import Final

from scriptfleet.domain.sample import Sample

_MOST_POINTS: Final = 240


class Curve:
    """Points of one run, oldest first."""

    def __init__(self, most_points: int = _MOST_POINTS) -> None:
        self._most, self._stride, self._skipped = most_points, 1, 0
        self._points: list[Sample] = []
        #: The newest, also where it was passed over.
        self.last: Sample | None = None

    def add(self, point: Sample) -> None:
        """Add a point, or pass it over by the stride."""
        self.last = point
        self._skipped += 1
        if self._skipped < self._stride and self._points:
            return
        self._skipped = 0
        self._points.append(point)
        if len(self._points) > self._most:
            self._points = self._points[::2]
            self._stride *= 2

    def points(self) -> Sequence[Sample]:
        """Give the points that are kept."""
        return self._points
