"""A sample: one reading of a run while it goes on."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Sample(NamedTuple):
    """A point of the cost curve. What a host, or a worker of an older version, does not tell is None."""

    #: Since the start of the run.
    seconds: float
    #: Of one core, over the whole tree.
    cpu_percent: float
    #: Resident, MiB, over the whole tree.
    memory_mb: float
    processes: int
    #: Storage I/O of the tree from its start until now.
    block_io_read_bytes: int | None = None
    block_io_write_bytes: int | None = None


def joined(curve: Sequence[Sequence[Any]], io: Sequence[Sequence[Any]] | None) -> list[Sample]:
    """Make samples of points of four numbers and, where there are such, the bytes of each.

    Raises ValueError where they do not fit together, TypeError where they are no lists.
    """
    if io is None:
        return [Sample(*_exactly(point, 4)) for point in curve]
    return [Sample(*_exactly(point, 4), *_exactly(bytes_of, 2)) for point, bytes_of in zip(curve, io, strict=True)]


def _exactly(numbers: Sequence[Any], count: int) -> tuple[Any, ...]:
    if len(numbers) != count:
        raise ValueError(f"{len(numbers)} numbers instead of {count}")
    return tuple(numbers)
