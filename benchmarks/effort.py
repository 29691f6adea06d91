"""How much trouble a benchmark takes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """What the caller asked for."""

    #: Smallest sizes, to see that all still works: the figures say little.
    is_quick: bool = False
    #: Jobs of drain, unless it is to choose itself.
    jobs: int | None = None
    #: Runs in the store that history asks, unless it is to choose itself.
    runs: int | None = None
    #: The address of a seeded store that history asks, unless it is to seed its own.
    database: str | None = None

    def of(self, whole: int, quick: int) -> int:
        """Give the size for this effort."""
        return quick if self.is_quick else whole
