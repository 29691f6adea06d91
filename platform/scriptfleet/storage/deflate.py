"""zlib for what is mostly small."""

import zlib
from typing import Final

_SMALL_BYTES: Final = 4096
#: A window of that size, and little memory beside it: the usual 256 KiB, fresh from the system each time, take twenty
#: times as long as compressing a few hundred bytes.
_SMALL_WINDOW_BITS: Final = 12
_SMALL_MEMORY_LEVEL: Final = 5


def deflated(plain: bytes) -> bytes:
    """Give bytes that zlib.decompress() opens."""
    if len(plain) > _SMALL_BYTES:
        return zlib.compress(plain)
    packer = zlib.compressobj(wbits=_SMALL_WINDOW_BITS, memLevel=_SMALL_MEMORY_LEVEL)
    return packer.compress(plain) + packer.flush()
