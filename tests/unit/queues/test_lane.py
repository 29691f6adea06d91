"""The text that Lua goes by: equal wishes give equal text, and no wish gives none."""

import json
from typing import Any

import pytest

from scriptfleet.domain.job import JobSpec
from scriptfleet.errors import InvalidValue
from scriptfleet.queues.lane import bounds_of, lane_of, memory_asked_mb


def spec(**options: Any) -> JobSpec:
    return JobSpec(kind="shell", name="s", config={"command": "true"}, **options)


def test_a_job_that_asks_for_nothing_has_no_lane_of_its_own() -> None:
    assert (lane_of(spec(priority=9, labels={"a": "b"})), bounds_of(spec())) == ("", "")


def test_equal_wishes_give_equal_text_whatever_their_order() -> None:
    first = spec(group="g", requires={"a": "1", "b": "2"}, concurrency_key="k", concurrency_limit=2)
    second = spec(requires={"b": "2", "a": "1"}, concurrency_key="k", concurrency_limit=5, group="g")

    assert lane_of(first) == lane_of(second) == '{"c":"k","g":"g","l":{"a":"1","b":"2"}}'
    assert (bounds_of(first), bounds_of(second)) == ("2 0 0", "5 0 0")


def test_rates_and_memory_are_told_in_the_units_of_the_scripts() -> None:
    asking = spec(rate_key="api", rate_limit="10/1m", needs_memory_mb=4096)

    assert json.loads(lane_of(asking)) == {"r": "api", "m": 4096}
    assert bounds_of(asking) == "0 10 60000"
    assert (memory_asked_mb(lane_of(asking)), memory_asked_mb("")) == (4096.0, 0.0)


def test_wishes_survive_the_way_to_the_worker() -> None:
    asking = spec(rate_key="r", rate_limit="1/h", requires={"a": "b"}, needs_memory_mb=1.5)

    assert JobSpec.from_json(asking.to_json()) == asking


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"concurrency_key": "k"}, "concurrency_limit"),
        ({"concurrency_limit": 2}, "concurrency_limit"),
        ({"concurrency_key": "k", "concurrency_limit": 0}, "concurrency_limit"),
        ({"concurrency_key": "k", "concurrency_limit": True}, "concurrency_limit"),
        ({"concurrency_key": "\0", "concurrency_limit": 1}, "concurrency_key"),
        ({"rate_key": "k"}, "rate_limit"),
        ({"rate_key": "k", "rate_limit": "often"}, "rate_limit"),
        ({"rate_key": "k" * 256, "rate_limit": "1/s"}, "rate_key"),
        ({"requires": {"gpu": 1}}, "requires"),
        ({"requires": ["gpu"]}, "requires"),
        ({"needs_memory_mb": 0}, "needs_memory_mb"),
        ({"needs_memory_mb": float("nan")}, "needs_memory_mb"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue, match=field):
        spec(**options)
