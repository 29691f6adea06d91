"""What most events say is read by a compiled reader: it makes the same of them as the careful one, or leaves them."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptfleet.domain.event import EventType
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.state import State
from scriptfleet.domain.usage import MEASURES
from scriptfleet.errors import InvalidValue
from scriptfleet.storage import tree_bytes
from scriptfleet.storage.event_said import MALFORMED, EndSaid, claim_said, end_said, submit_said
from scriptfleet.storage.quick_said import quick_said
from scriptfleet.storage.row import MEASURE_TYPES
from tests import event_factory as make

JOB, RUN = "0a6e9f0e-5d83-4d0b-8f3c-0c2b9e2a7f10", "a" * 32

CAREFUL: dict[EventType, Callable[[Mapping[str, Any]], Any]] = {
    EventType.SUBMITTED: submit_said,
    EventType.CLAIMED: claim_said,
    EventType.FINISHED: end_said,
}

texts = st.text(st.characters(exclude_categories=[]), max_size=12)
numbers = st.integers(-5, 5) | st.floats() | st.sampled_from([2**31, -(2**31), 2**63, -(2**63), 2**64, 10**400, 1e300])
odd = st.none() | st.booleans() | numbers | texts | st.just([]) | st.just({})
anything = st.recursive(odd, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
fitting = {
    str: texts,
    int: st.integers(-(2**63) + 1, 2**63 - 1),
    float: st.floats() | st.integers(0, 9),
    bool: st.booleans(),
}


def mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 30).flatmap(lambda number: usual if number else anything)


def changed(whole: dict[str, Any], parts: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Give an object with some of its parts drawn anew, some of them unfit, some missing."""
    drawn = st.fixed_dictionaries({}, optional={name: mostly(usual) for name, usual in parts.items()})
    lacking = st.lists(st.sampled_from(sorted({*whole, *parts})), max_size=1)
    return st.builds(
        lambda some, gone: {name: part for name, part in {**whole, **some}.items() if name not in gone}, drawn, lacking
    )


measures = {name: st.none() | fitting[MEASURE_TYPES[name]] for name in MEASURES}
points = st.lists(st.tuples(st.floats(0, 9), st.integers(0, 9), st.floats(0, 9), st.integers(0, 9)), max_size=4)
whole_bytes = st.none() | st.integers(0, 2**40)
record = make.record(JOB, RUN).to_dict()
process = record["process_tree"]["processes"][0]
trees = changed(
    record["process_tree"],
    {
        "count": st.integers(0, 9),
        "processes": st.lists(
            changed(process, {"command": texts, "pid": st.integers(), "memory_mb": numbers}), max_size=3
        ),
    },
)
kept = {"name": "a\\b", "size_bytes": 6, "sha256": "c" * 64}
records = changed(
    record,
    {
        "usage": changed(record["usage"], {**measures, "custom.a": numbers, "custom.\0": numbers, "joules": anything}),
        **{name: changed({"text": "ü\n", "cut_bytes": 0}, {"text": texts}) for name in ("stdout", "stderr")},
        "outcome": st.sampled_from(State),
        "output_data": anything,
        "curve": points,
        "curve_io": st.none() | st.lists(st.tuples(whole_bytes, whole_bytes), min_size=2, max_size=2),
        "process_tree": st.none() | trees,
        "artifacts": st.lists(changed(kept, {"size_bytes": numbers, "sha256": texts}), max_size=2),
        **dict.fromkeys(("run_id", "job_id", "worker", "host", "queue"), texts),
        "v": st.integers(-1, 3),
    },
)
ends = changed(
    {"record": record, "state": "succeeded", "stale": False},
    {"record": records, "state": st.sampled_from(State), "stale": st.booleans(), "due": numbers},
)
specs = changed(
    JobSpec(kind="shell", name="x", config={"command": "true"}).to_dict(),
    {
        **dict.fromkeys(("kind", "name", "queue", "group", "schedule", "submitted_by"), texts),
        "priority": numbers,
        "labels": anything,
        "config": anything,
    },
)
submits = changed(
    {"state": "queued"},
    {"state": st.sampled_from(State), "sig": texts, "due": numbers, "spec": specs.map(json.dumps) | texts},
)
claims = changed({"run_id": RUN, "attempt": 1, "worker": "w"}, {"run_id": texts, "attempt": numbers, "worker": texts})


def shown(said: Any) -> str:
    """Give all of it, types and signs of zero too, but for how the tree's JSON is spelled."""
    if isinstance(said, EndSaid) and said.record.process_tree:
        return repr((said._replace(record=None), said.record._replace(process_tree=None))) + repr(  # type: ignore[arg-type]
            tree_bytes.unpack(said.record.process_tree)
        )
    return repr(said)


def is_the_same_or_left(kind: EventType, body: str) -> bool:
    """Check one text; give whether it was read quickly."""
    quick = quick_said(kind, body)
    try:
        careful = CAREFUL[kind](json.loads(body))
    except (*MALFORMED, InvalidValue):
        assert quick is None
        return False
    assert quick is None or shown(quick) == shown(careful)
    return quick is not None


@given(ends)
def test_of_a_record_both_readers_make_the_same(data: dict[str, Any]) -> None:
    is_the_same_or_left(EventType.FINISHED, json.dumps(data))


@given(submits)
def test_of_a_submit_both_readers_make_the_same(data: dict[str, Any]) -> None:
    is_the_same_or_left(EventType.SUBMITTED, json.dumps(data))


@given(claims)
def test_of_a_claim_both_readers_make_the_same(data: dict[str, Any]) -> None:
    is_the_same_or_left(EventType.CLAIMED, json.dumps(data, ensure_ascii=False))


@pytest.mark.parametrize("event", make.whole_job(make.shell_spec(labels={"team": "ü"}, group="g")))
def test_what_a_usual_job_tells_is_read_quickly(event: make.Event) -> None:
    assert is_the_same_or_left(event.type, json.dumps(event.data))
    assert is_the_same_or_left(event.type, json.dumps(event.data, ensure_ascii=False, separators=(",", ":")))


SPELLED_OTHERWISE = {
    "a name in escapes": ('"custom.rows"', '"\\u0063ustom.rows"'),
    "a measure twice": ('"cpu_avg": 80.0', '"cpu_avg": "x", "cpu_avg": 81.5'),
    "whole numbers for others": ('"cpu_avg": 80.0', '"cpu_avg": 80'),
    "a number beyond every double": ('"cpu_avg": 80.0', '"cpu_avg": 1e999'),
    "a minus before zero": ('"cpu_avg": 80.0', '"cpu_avg": -0'),
    "a whole number with a point": ('"attempt": 1', '"attempt": 1.0'),
    "half a character": ('"host-1"', '"host-\\ud83d"'),
    "a character of two halves": ('"host-1"', '"host-\\ud83d\\ude00"'),
    "NUL": ('"host-1"', '"host-\\u0000"'),
    "a tab as it is": ('"host-1"', '"host-\t"'),
    "a comma too many": ('"attempt": 1,', '"attempt": 1,,'),
    "more behind it": ('"stale": false}', '"stale": false} {}'),
    "a value that is not finite": ('"custom.rows": 12.0', '"custom.rows": NaN'),
    "depth": ('"reports_refused": 0', f'"reports_refused": {"[" * 2_000}{"]" * 2_000}'),
}


@pytest.mark.parametrize(("usual", "other"), SPELLED_OTHERWISE.values(), ids=SPELLED_OTHERWISE.keys())
def test_a_record_that_is_spelled_otherwise_is_taken_alike(usual: str, other: str) -> None:
    body = json.dumps(make.finished(make.record(JOB, RUN)).data)

    assert usual in body
    is_the_same_or_left(EventType.FINISHED, body.replace(usual, other))


@pytest.mark.parametrize("spelled", ["\\\\u0000", "\\u005cu0000", "\\u005c\\u0075\\u0030000"])
def test_a_spec_that_says_nul_is_taken_alike_however_it_is_spelled(spelled: str) -> None:
    body = json.dumps({"spec": make.shell_spec("x-y").to_json(), "state": "queued"})

    assert "x-y" in body
    assert not is_the_same_or_left(EventType.SUBMITTED, body.replace("x-y", f"x{spelled}y"))


def test_events_that_are_seldom_are_left_to_the_careful_reader() -> None:
    assert quick_said(EventType.MOVED, '{"state": "queued"}') is None
