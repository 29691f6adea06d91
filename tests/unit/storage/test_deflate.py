"""Streams that zlib opens, however small."""

import zlib

from hypothesis import example, given
from hypothesis import strategies as st

from scriptfleet.storage.deflate import deflated


@given(st.binary(max_size=2_000))
@example(b"")
@example(b"x" * 512)
@example(b"x" * 513)
@example(b"x" * 5_000)
def test_zlib_opens_it(plain: bytes) -> None:
    opened = zlib.decompressobj()

    assert opened.decompress(deflated(plain)) == plain
    assert opened.eof


def test_what_is_long_takes_less_room() -> None:
    assert len(deflated(b"x" * 1_000)) < 100
