"""How a cost curve lies in its column: zlib over one version byte and its series, little-endian doubles.

Version 1 has seconds, CPU percents, resident MiB and processes; version 2 has the bytes read and written as well, NaN
for those that are not known.
"""

import math
import struct
import zlib
from collections.abc import Sequence
from itertools import chain
from typing import Final

from scriptfleet.domain.sample import Sample
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.deflate import deflated

_WITHOUT_IO: Final = 1
_WITH_IO: Final = 2
_SERIES: Final = {_WITHOUT_IO: 4, _WITH_IO: 6}


def pack(curve: Sequence[Sequence[float | None]]) -> bytes:
    """Give the bytes of a curve, the numbers of a Sample each, each series on its own."""
    series = [*zip(*curve, strict=True)]
    io = [*chain(*series[_SERIES[_WITHOUT_IO] :])]
    unknown = io.count(None)
    version = _WITH_IO if unknown < len(io) else _WITHOUT_IO
    values = [*chain(*series[: _SERIES[version]])]
    if unknown and version == _WITH_IO:
        values = [math.nan if value is None else value for value in values]
    return deflated(struct.pack(f"<B{len(values)}d", version, *values))


def unpack(packed: bytes) -> list[Sample]:
    """Read what pack() wrote, now or before there was I/O in it. Raises InvalidValue for a newer version."""
    content = zlib.decompress(packed)
    if content[0] not in _SERIES:
        raise InvalidValue("curve version", content[0], f"one of {', '.join(map(str, _SERIES))}: upgrade this one")
    values = struct.unpack(f"<{(len(content) - 1) // 8}d", content[1:])
    length = len(values) // _SERIES[content[0]]
    rows = zip(*(values[at : at + length] for at in range(0, len(values), length or 1)), strict=True)
    return [_sample(row) for row in rows]


def _sample(row: Sequence[float]) -> Sample:
    at, cpu, rss, processes, *io = row
    return Sample(at, cpu, rss, int(processes), *(None if math.isnan(one) else int(one) for one in io))
