"""SHA-256 of bytes in memory, without loading OpenSSL where there is little to digest."""

from importlib import import_module
from typing import Any, Final

#: Up to so many bytes OpenSSL takes longer to load than it saves.
_FEW_BYTES: Final = 1 << 20
#: What Python builds of its own, by its version; a build may leave it out.
_OWN: Final = ("_sha256", "_sha2")


def sha256_of(content: bytes) -> str:
    """Give the digest in hexadecimal digits."""
    found: str = _SHA256(content).hexdigest() if len(content) <= _FEW_BYTES else _openssl()(content).hexdigest()
    return found


def _own() -> Any:
    for name in _OWN:
        try:
            return import_module(name).sha256
        except ImportError:
            continue
    return _openssl()


def _openssl() -> Any:
    return import_module("hashlib").sha256


_SHA256: Final = _own()
