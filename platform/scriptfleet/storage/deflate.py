"""zlib for what is mostly small."""

import struct
import zlib
from typing import Final

#: To compress so little takes longer than to write what it would save.
_SHORT_BYTES: Final = 512
#: A zlib header, and that of one last block that is stored as it is (RFC 1950, 2.2; RFC 1951, 3.2.4).
_STORED: Final = b"\x78\x01\x01"
_SMALL_BYTES: Final = 4096
#: A window of that size, and little memory beside it: the usual 256 KiB, fresh from the system each time, take twenty
#: times as long as compressing a few hundred bytes.
_SMALL_WINDOW_BITS: Final = 12
_SMALL_MEMORY_LEVEL: Final = 5


def deflated(plain: bytes) -> bytes:
    """Give bytes that zlib.decompress() opens."""
    size = len(plain)
    if size <= _SHORT_BYTES:
        return _STORED + struct.pack("<HH", size, size ^ 0xFFFF) + plain + struct.pack(">I", zlib.adler32(plain))
    if size > _SMALL_BYTES:
        return zlib.compress(plain)
    packer = zlib.compressobj(wbits=_SMALL_WINDOW_BITS, memLevel=_SMALL_MEMORY_LEVEL)
    return packer.compress(plain) + packer.flush()
