"""Records of runs and their measures survive JSON; unknown is None, never zero."""

import json

from hypothesis import given
from hypothesis import strategies as st

from scriptfleet.domain.run import OutputTail, RunRecord
from scriptfleet.domain.sample import Sample
from scriptfleet.domain.state import State
from scriptfleet.domain.usage import MEASURES, Usage

custom = st.dictionaries(st.text("abc._", min_size=1, max_size=8), st.floats(allow_nan=False), max_size=3)
measured = st.builds(
    Usage,
    execution_time_seconds=st.none() | st.floats(0, 1e6),
    exit_code=st.none() | st.integers(0, 255),
    cpu_max=st.none() | st.floats(0, 1e5),
    memory_max_mb=st.none() | st.floats(0, 1e6),
    pids_count=st.none() | st.integers(1, 1000),
    error_message=st.none() | st.text(),
    custom=custom,
)


@given(measured)
def test_a_usage_comes_back_from_json_as_it_was(usage: Usage) -> None:
    assert Usage.from_dict(json.loads(json.dumps(usage.to_dict()))) == usage


@given(measured, st.sampled_from(State), st.text(), st.integers(0, 2**40))
def test_a_record_comes_back_from_json_as_it_was(usage: Usage, outcome: State, text: str, cut: int) -> None:
    tail, curve = OutputTail(text, cut), [Sample(0.1, 99.5, 12.25, 2), Sample(0.2, 0.0, 1.0, 1, 0, 2**40)]
    record = RunRecord("r1", "j1", 2, "w1", "h1", outcome, usage, tail, output_data={"a": [1, None]}, curve=curve)

    assert RunRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_a_curve_with_bytes_in_it_can_be_read_by_versions_that_know_of_none() -> None:
    curve = [Sample(0.1, 99.5, 12.25, 2, 0, 4096)]
    plain = RunRecord("r1", "j1", 2, "w1", "h1", State.FAILED, Usage(), curve=curve).to_dict()

    assert [list(point) for point in plain["curve"]] == [[0.1, 99.5, 12.25, 2]]


def test_a_measure_that_is_not_known_is_none_and_not_zero() -> None:
    assert set(Usage().to_dict()) == set(MEASURES)
    assert all(value is None for value in Usage().to_dict().values())


def test_an_unknown_measure_takes_no_room_in_a_record() -> None:
    record = RunRecord("r1", "j1", 1, "w1", "h1", State.FAILED, Usage(exit_code=0))

    assert record.to_dict()["usage"] == {"exit_code": 0}


def test_measures_of_a_newer_version_are_passed_over() -> None:
    assert Usage.from_dict({"exit_code": 1, "quantum_seconds": 3}) == Usage(exit_code=1)


def test_cpu_time_is_known_only_when_both_parts_are() -> None:
    assert Usage(user_time_seconds=1.0).cpu_seconds is None
    assert Usage(user_time_seconds=1.0, system_time_seconds=0.5).cpu_seconds == 1.5
