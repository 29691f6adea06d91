"""Curves and process trees in their columns, also those of earlier versions."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptfleet.domain.sample import Sample
from scriptfleet.errors import InvalidValue
from scriptfleet.storage import curve_bytes, tree_bytes
from tests import event_factory as make

finite = st.floats(allow_nan=False, allow_infinity=False)
some_bytes = st.none() | st.integers(0, 2**53)
samples = st.builds(Sample, finite, finite, finite, st.integers(0, 2**31), some_bytes, some_bytes)


@given(st.lists(samples, max_size=50))
def test_a_curve_comes_back_as_it_was(curve: list[Sample]) -> None:
    assert curve_bytes.unpack(curve_bytes.pack(curve)) == curve


def test_a_curve_of_before_there_was_io_in_it_shows_none() -> None:
    series = (0.0, 1.0, 50.0, 90.25, 20.5, 48.5, 1.0, 2.0)
    packed = zlib.compress(b"\x01" + struct.pack("<8d", *series))

    assert curve_bytes.unpack(packed) == [
        Sample(0.0, 50.0, 20.5, 1, None, None),
        Sample(1.0, 90.25, 48.5, 2, None, None),
    ]


def test_a_curve_without_io_takes_no_more_room_than_before() -> None:
    assert zlib.decompress(curve_bytes.pack([Sample(0.0, 50.0, 20.5, 1)])) == b"\x01" + struct.pack(
        "<4d", 0.0, 50.0, 20.5, 1.0
    )


def test_what_a_newer_version_packed_is_refused_by_name() -> None:
    with pytest.raises(InvalidValue, match="curve version"):
        curve_bytes.unpack(zlib.compress(b"\x09" + bytes(64)))
    with pytest.raises(InvalidValue, match="process tree version"):
        tree_bytes.unpack(b"\x09" + tree_bytes.pack(make.TREE.to_dict())[1:])
