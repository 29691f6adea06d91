"""Blobs: bytes that travel with jobs, named by their SHA-256, compressed in Redis, verified on arrival."""

import hashlib
import time
import zlib
from collections.abc import Callable
from typing import Final

import redis

from scriptfleet.errors import BlobMissing, BlobTooLarge
from scriptfleet.queues.keys import Keys

LIFETIME_SECONDS: Final = 7 * 24 * 3600
#: For so long a producer trusts that a blob it saw is still there; far below the lifetime.
_TRUST_SECONDS: Final = 600.0


def digest(content: bytes) -> str:
    """Give the name of these bytes."""
    return hashlib.sha256(content).hexdigest()


class BlobStore:
    """Blobs in Redis, under a size limit."""

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        limit_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._keys, self._limit, self._clock = client, keys, limit_bytes, clock
        self._seen: dict[str, float] = {}

    def put(self, name: str, content: bytes, lifetime_seconds: float = LIFETIME_SECONDS) -> str:
        """Store bytes, or renew the life of those already there; give their SHA-256. Raises BlobTooLarge."""
        if len(content) > self._limit:
            raise BlobTooLarge(name, len(content), self._limit)
        sha256 = digest(content)
        now = self._clock()
        if now - self._seen.get(sha256, -_TRUST_SECONDS) < _TRUST_SECONDS and lifetime_seconds <= LIFETIME_SECONDS:
            return sha256
        key, seconds = self._keys("blob", sha256), int(max(lifetime_seconds, LIFETIME_SECONDS))
        if not self._client.expire(key, seconds):
            self._client.set(key, zlib.compress(content, 6), ex=seconds)
        self._seen[sha256] = now
        return sha256

    def keep(self, content: bytes, seconds: float) -> None:
        """Store bytes for so long, or longer where they are already to stay; for what comes back from a run."""
        if len(content) > self._limit:
            raise BlobTooLarge("artifact", len(content), self._limit)
        key, life = self._keys("blob", digest(content)), max(1, round(seconds))
        if self._client.exists(key):
            self._client.expire(key, life, gt=True)
        else:
            self._client.set(key, zlib.compress(content, 6), ex=life)

    def get(self, sha256: str, size_bytes: int) -> bytes:
        """Give the bytes. Raises BlobMissing when they are gone or are not those that were sent."""
        packed = self._client.get(self._keys("blob", sha256))
        if packed is None:
            raise BlobMissing(sha256, "no longer in the broker")
        unpacker = zlib.decompressobj()
        try:
            content = unpacker.decompress(packed, size_bytes + 1)
        except zlib.error as fault:
            raise BlobMissing(sha256, f"damaged in the broker ({fault})") from fault
        if len(content) != size_bytes or digest(content) != sha256:
            raise BlobMissing(sha256, "not the bytes that were sent")
        return content
