"""Values that come in pieces: their order is that of all of them together."""

import math
import statistics
from array import array
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptfleet.storage import ranks, spread
from scriptfleet.storage.column_bytes import (
    both,
    chosen,
    pack_ids,
    pack_numbers,
    pack_words,
    unpack_ids,
    unpack_numbers,
    unpack_words,
)
from scriptfleet.storage.spread import parts_of, spread_of, sum_of

SHARES = (0.0, 0.5, 0.9, 0.95, 0.99, 1.0)
values = st.one_of(st.integers(-50, 50), st.integers(-(10**9), 10**9).map(lambda number: number / 64))


def places(count: int) -> list[float]:
    return [(count - 1) * share for share in SHARES]


def at_places(numbers: Sequence[float]) -> list[float]:
    ordered = sorted(numbers)
    found = []
    for place in places(len(ordered)):
        low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
        found.append(low + (high - low) * (place - math.floor(place)))
    return found


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in (
        (spread, "_ORDERED_WHOLE", 20),
        (spread, "_SAMPLED", 3),
        (spread, "DEVIATIONS", 0.1),
        (ranks, "_LEAST_SAMPLE", 5),
    ):
        monkeypatch.setattr(module, name, value)


def read_of(numbers: Sequence[float], size: int) -> Callable[[], Iterator[Sequence[float]]]:
    return lambda: (numbers[at : at + size] for at in range(0, len(numbers), size))


@given(st.lists(values, min_size=1, max_size=200), st.integers(1, 40), st.sampled_from((0, 2_000_000)))
def test_places_are_those_of_the_whole_order(numbers: list[float], size: int, kept: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spread, "_KEPT", kept)
        found, at = spread_of(read_of(numbers, size), places)

    assert at == at_places(numbers)
    assert (found.count, found.min, found.max) == (len(numbers), min(numbers), max(numbers))
    assert found.sum == pytest.approx(math.fsum(numbers))
    assert found.avg == pytest.approx(statistics.fmean(numbers))


def test_of_no_values_there_is_nothing() -> None:
    assert spread_of(lambda: [[], []], places) == (spread.Summary(0, None, None, None, None), [])


def test_what_no_double_holds_is_infinite() -> None:
    assert sum_of([1e308, 1e308]) == math.inf


@given(st.lists(st.floats(0, 4e9), max_size=60), st.sampled_from((1, 7, 300, 3600, 86_400, 604_800)))
def test_parts_of_time_are_those_that_a_division_gives(moments: list[float], width: int) -> None:
    moments.sort()
    found = [number for number, start, end in parts_of(moments, width) for _ in moments[start:end]]

    assert found == [math.floor(moment / width) for moment in moments]


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=50), st.data())
def test_whole_numbers_come_back_as_they_were(numbers: list[int | None], data: st.DataObject) -> None:
    packed = unpack_numbers(pack_numbers(numbers))
    rows = bytes(data.draw(st.lists(st.booleans(), min_size=len(numbers), max_size=len(numbers))))

    assert list(packed.values) == [one for one in numbers if one is not None]
    some = chosen(packed, rows)
    kept = [one for one, is_kept in zip(numbers, rows, strict=True) if is_kept]
    assert list(some.values) == [one for one in kept if one is not None]
    if some.presence is not None:
        assert list(some.presence) == [one is not None for one in kept]


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), min_size=1, max_size=2000))
def test_doubles_come_back_as_they_were(numbers: list[float | None]) -> None:
    assert list(unpack_numbers(pack_numbers(numbers)).values) == [one for one in numbers if one is not None]


@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1, max_size=50), st.text(max_size=3))
def test_words_are_found_by_what_they_are(words: list[str | None], asked: str) -> None:
    found = unpack_words(pack_words(words))

    for word in (*words, asked, None):
        same = found.equal(word)
        assert (bytes([1] * len(words)) if same is None else same) == bytes(one == word for one in words)
        assert (same is None) == (set(words) == {word})


def test_more_words_than_a_byte_tells_are_found_too() -> None:
    words = [str(number) for number in range(300)]
    assert unpack_words(pack_words(words)).equal("299") == bytes(299) + b"\1"


@given(st.lists(st.one_of(st.text(max_size=3), st.uuids().map(lambda one: one.hex)), min_size=1, max_size=20))
def test_ids_come_back_whatever_they_are(ids: list[str]) -> None:
    assert unpack_ids(pack_ids(ids)) == ids


@given(st.lists(st.tuples(st.sampled_from((0, 1)), st.sampled_from((0, 1))), max_size=50))
def test_both_is_where_each_is(pairs: list[tuple[int, int]]) -> None:
    rows, others = (bytes(one[at] for one in pairs) for at in (0, 1))
    assert both(rows, others) == bytes(one & other for one, other in pairs)


def test_a_newer_version_is_refused_by_its_number() -> None:
    packed = bytearray(pack_numbers(array("d", [1.0])))
    packed[0] = 9
    with pytest.raises(ValueError, match="segment version: 9"):
        unpack_numbers(bytes(packed))
