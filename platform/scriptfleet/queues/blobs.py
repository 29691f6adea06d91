"""Blobs: bytes that travel with jobs, named by their SHA-256, compressed in Redis, verified on arrival."""

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import redis

from scriptfleet.errors import BlobMissing, BlobTooLarge
from scriptfleet.queues.connection import with_patience
from scriptfleet.queues.keys import Keys

#: How long a script stays after its last submit, or after its job is due; the same in lua/job.lua.
LIFETIME_SECONDS: Final = 7 * 24 * 3600
#: More bytes than this get a connection of their own, which waits as long as they may take.
_SMALL_BYTES: Final = 1024 * 1024
_LEAST_SECONDS: Final = 3.0
_SLOWEST_BYTES_PER_SECOND: Final = 1024 * 1024


def digest(content: bytes) -> str:
    """Give the name of these bytes."""
    return hashlib.sha256(content).hexdigest()


class BlobStore:
    """Blobs in Redis, under a size limit."""

    def __init__(self, client: redis.Redis, keys: Keys, limit_bytes: int) -> None:
        self._client, self._keys, self._limit = client, keys, limit_bytes

    def put(self, name: str, content: bytes) -> str:
        """Store bytes, or renew the life of those already there; give their SHA-256. Raises BlobTooLarge."""
        return self._store(name, content, LIFETIME_SECONDS)

    def keep(self, content: bytes, seconds: float) -> None:
        """Store bytes for so long, or longer where they are already to stay; for what comes back from a run."""
        self._store("artifact", content, max(1.0, seconds))

    def get(self, sha256: str, size_bytes: int) -> bytes:
        """Give the bytes. Raises BlobMissing when they are gone or are not those that were sent."""
        with self._patient(size_bytes) as client:
            packed = client.get(self._keys("blob", sha256))
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

    def kept(self, names: Sequence[str]) -> set[str]:
        """Give those of these blobs that are here. Raises redis.RedisError."""
        pipeline = self._client.pipeline(transaction=False)
        for sha256 in names:
            pipeline.exists(self._keys("blob", sha256))
        return {sha256 for sha256, is_here in zip(names, pipeline.execute(), strict=True) if is_here}

    def _store(self, name: str, content: bytes, seconds: float) -> str:
        if len(content) > self._limit:
            raise BlobTooLarge(name, len(content), self._limit)
        sha256, life = digest(content), round(seconds)
        key = self._keys("blob", sha256)
        if not self._client.exists(key):
            packed = zlib.compress(content, 6)
            with self._patient(len(packed)) as client:
                if client.set(key, packed, ex=life, nx=True):
                    return sha256
        # Another job may need them for longer.
        self._client.expire(key, life, gt=True)
        return sha256

    @contextmanager
    def _patient(self, size_bytes: int) -> Iterator[redis.Redis]:
        if size_bytes <= _SMALL_BYTES:
            yield self._client
            return
        with with_patience(self._client, _LEAST_SECONDS + size_bytes / _SLOWEST_BYTES_PER_SECOND) as client:
            yield client
