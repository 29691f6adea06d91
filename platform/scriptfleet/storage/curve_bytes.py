"""How a cost curve lies in its column: zlib over one version byte and the four series, little-endian doubles."""

import struct
import zlib
from collections.abc import Sequence

Point = tuple[float, float, float, int]

_VERSION = b"\x01"


def pack(curve: Sequence[Point]) -> bytes:
    """Give the bytes of a curve: seconds, CPU percents, resident MiB, processes, each series on its own."""
    values = [value for series in zip(*curve, strict=True) for value in series]
    return zlib.compress(_VERSION + struct.pack(f"<{len(values)}d", *values))


def unpack(packed: bytes) -> list[Point]:
    """Read what pack() wrote."""
    body = zlib.decompress(packed)[1:]
    values = struct.unpack(f"<{len(body) // 8}d", body)
    length = len(values) // 4
    series = [values[at * length : (at + 1) * length] for at in range(4)]
    return [(at, cpu, rss, int(pids)) for at, cpu, rss, pids in zip(*series, strict=True)]
