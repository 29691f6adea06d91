"""How a column of a segment lies in its row: numbers or words of runs in their order, little-endian, mostly deflated.

The first byte tells the version, the second what follows. Numbers: a byte a run, 1 for each that has a value, left out
where all have; then the values that there are, doubles or whole numbers of 64 bits. Words: for each run the place of
its word in a JSON list of those that differ, which follows. Ids: 16 bytes each where all are 32 digits, else a JSON
list.
"""

import json
import struct
import sys
import zlib
from array import array
from collections.abc import Sequence
from itertools import compress
from typing import Final, NamedTuple, TypeVar

from scriptfleet.errors import InvalidValue

Number = float | int
_Item = TypeVar("_Item", int, float)

_VERSION: Final = 1
_HAS_GAPS, _IS_DEFLATED = 1, 2
#: Version, flags, type of the values; then the runs.
_HEAD: Final = struct.Struct("<BBcI")
#: Places of words: a byte each where few words differ.
_PLACES: Final = "I"
_SHORT_PLACES: Final = "B"
_BYTES: Final = 256
_HEX: Final = "x"
_LISTED: Final = "l"
_DIGITS: Final = 32
_ALL_DIGITS: Final = frozenset("0123456789abcdef")
_TRIED_BYTES: Final = 2048
_WORTH_IT: Final = 0.8


class Numbers(NamedTuple):
    """Values of the runs that have one."""

    #: Doubles, or whole numbers.
    values: "array[float]"
    #: A byte a run: 1 has a value; None where all have.
    presence: bytes | None


class Words(NamedTuple):
    """A word, or None, of each run, by its place among those that there are."""

    known: list[str | None]
    places: "array[int]"

    def equal(self, word: str | None) -> bytes | None:
        """Give a byte a run: 1 has this word; None where all have it."""
        if word not in self.known:
            return bytes(len(self.places))
        if len(self.known) == 1:
            return None
        place = self.known.index(word)
        if self.places.typecode == _SHORT_PLACES:
            return self.places.tobytes().translate(bytes(place) + b"\1" + bytes(_BYTES - 1 - place))
        return bytes(map(place.__eq__, self.places))


def pack_numbers(values: Sequence[Number | None]) -> bytes:
    """Give the bytes of numbers; whole numbers among doubles become doubles."""
    presence = bytes(value is not None for value in values)
    some = [value for value in values if value is not None]
    kind = "q" if all(type(value) is int for value in some) else "d"
    body = _little(array(kind, some)).tobytes()
    has_gaps = len(some) < len(values)
    return _packed(kind, len(values), _HAS_GAPS if has_gaps else 0, presence + body if has_gaps else body)


def unpack_numbers(packed: bytes) -> Numbers:
    """Read what pack_numbers() wrote. Raises InvalidValue for a newer version."""
    kind, count, flags, body = _unpacked(packed)
    start = count if flags & _HAS_GAPS else 0
    values: array[float] = array(kind)
    values.frombytes(body[start:])
    return Numbers(_little(values), body[:count] if start else None)


def pack_words(words: Sequence[str | None]) -> bytes:
    """Give the bytes of words, of which few differ."""
    known = {word: place for place, word in enumerate(dict.fromkeys(words))}
    listed = json.dumps(list(known)).encode()
    kind = _SHORT_PLACES if len(known) <= _BYTES else _PLACES
    body = _little(array(kind, [known[word] for word in words])).tobytes()
    return _packed(kind, len(words), 0, body + listed)


def unpack_words(packed: bytes) -> Words:
    """Read what pack_words() wrote. Raises InvalidValue for a newer version."""
    kind, count, _flags, body = _unpacked(packed)
    places: array[int] = array(kind)
    end = count * places.itemsize
    places.frombytes(body[:end])
    return Words(json.loads(body[end:]), _little(places))


def pack_ids(ids: Sequence[str]) -> bytes:
    """Give the bytes of ids, which all differ."""
    digits = "".join(ids)
    if set(map(len, ids)) == {_DIGITS} and _ALL_DIGITS.issuperset(digits):
        return _packed(_HEX, len(ids), 0, bytes.fromhex(digits))
    return _packed(_LISTED, len(ids), 0, json.dumps(list(ids)).encode())


def unpack_ids(packed: bytes) -> list[str]:
    """Read what pack_ids() wrote. Raises InvalidValue for a newer version."""
    kind, count, _flags, body = _unpacked(packed)
    if kind == _LISTED:
        listed: list[str] = json.loads(body)
        return listed
    digits = body.hex()
    return [digits[at : at + _DIGITS] for at in range(0, count * _DIGITS, _DIGITS)]


def both(rows: bytes, others: bytes) -> bytes:
    """Give 1 for each run that is 1 in both."""
    # As numbers, since byte by byte takes a hundred times as long.
    found = int.from_bytes(rows, "little") & int.from_bytes(others, "little")
    return found.to_bytes(len(rows), "little")


def chosen(numbers: Numbers, rows: bytes) -> Numbers:
    """Give the numbers of some runs alone: a byte a run, 1 for each that is chosen."""
    if numbers.presence is None:
        return Numbers(array(numbers.values.typecode, compress(numbers.values, rows)), None)
    presence = bytes(compress(numbers.presence, rows))
    of_values = bytes(compress(rows, numbers.presence))
    return Numbers(array(numbers.values.typecode, compress(numbers.values, of_values)), presence)


def _packed(kind: str, count: int, flags: int, body: bytes) -> bytes:
    # Doubles that differ in all their digits hardly shrink, and cost time whenever they are read.
    middle = body[len(body) // 2 :][:_TRIED_BYTES]
    is_worth_it = len(zlib.compress(middle, 1)) < _WORTH_IT * len(middle)
    head = _HEAD.pack(_VERSION, flags | (_IS_DEFLATED if is_worth_it else 0), kind.encode(), count)
    return head + (zlib.compress(body, 1) if is_worth_it else body)


def _unpacked(packed: bytes) -> tuple[str, int, int, bytes]:
    version, flags, kind, count = _HEAD.unpack_from(packed)
    if version != _VERSION:
        raise InvalidValue("segment version", version, f"{_VERSION}: upgrade this one")
    body = packed[_HEAD.size :]
    return kind.decode(), count, flags, zlib.decompress(body) if flags & _IS_DEFLATED else body


def _little(values: "array[_Item]") -> "array[_Item]":
    if sys.byteorder == "big":
        values.byteswap()
    return values
