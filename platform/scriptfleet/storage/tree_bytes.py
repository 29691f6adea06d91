"""How a process tree lies in its column: one version byte, then zlib over its JSON."""

import json
import zlib
from collections.abc import Mapping
from typing import Final

from scriptfleet.domain.process_tree import ProcessTree
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.deflate import deflated

_VERSION: Final = 1
#: json.dumps() would make an encoder for each tree.
_as_json: Final = json.JSONEncoder(separators=(",", ":")).encode


def pack(tree: Mapping[str, object]) -> bytes:
    """Give the bytes of a tree in its JSON form."""
    return pack_text(_as_json(tree).encode())


def pack_text(text: bytes) -> bytes:
    """Give the bytes of a tree from its JSON text."""
    return bytes([_VERSION]) + deflated(text)


def unpack(packed: bytes) -> ProcessTree:
    """Read what pack() wrote. Raises InvalidValue for a newer version."""
    if packed[0] != _VERSION:
        raise InvalidValue("process tree version", packed[0], f"{_VERSION}: upgrade this one")
    return ProcessTree.from_dict(json.loads(zlib.decompress(packed[1:])))
