"""Values behave as the dataclasses that type checkers take them for."""

import copy
import dataclasses
import pickle
import subprocess
import sys
from typing import Any

import pytest

from scriptfleet.domain.limits import Limits
from scriptfleet.domain.retry import RetryPolicy
from scriptfleet.domain.run import OutputTail
from scriptfleet.domain.value import content_of, field, names_of, replace, value


@value(frozen=True, slots=True)
class Point:
    """What the tests are about."""

    x: int
    y: int = 2
    tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.y < 0:
            raise ValueError(self.y)

    @property
    def total(self) -> int:
        """The sum."""
        return self.x + self.y


def test_fields_are_given_by_place_or_name_and_have_defaults() -> None:
    assert (Point(1).x, Point(1).y, Point(x=5, y=6).total, Point(1, 2, ["a"]).tags) == (1, 2, 11, ["a"])


def test_a_default_that_is_made_is_made_anew_each_time() -> None:
    assert Point(1).tags == []
    assert Point(1).tags is not Point(1).tags


@pytest.mark.parametrize("words", [{}, {"x": 1, "z": 2}])
def test_fields_that_are_missing_or_unknown_are_refused(words: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"Point\.__init__\(\)"):
        Point(**words)


def test_a_value_never_changes() -> None:
    point: Any = Point(1)
    for change in (lambda: setattr(point, "x", 2), lambda: setattr(point, "z", 2), lambda: delattr(point, "x")):
        with pytest.raises(AttributeError):
            change()

    assert point.x == 1
    assert not hasattr(point, "__dict__")


def test_values_are_equal_by_their_content_and_their_class() -> None:
    assert Point(1) == Point(1, 2)
    assert Point(1) != Point(2)
    assert Point(1) != (1, 2, [])
    assert Limits() != OutputTail("")
    assert len({Limits(), Limits(), Limits(processes=1)}) == 2


def test_a_value_shows_its_content() -> None:
    assert repr(Point(1)) == "Point(x=1, y=2, tags=[])"


def test_a_changed_value_is_checked_as_a_new_one() -> None:
    assert replace(Point(1), y=7) == dataclasses.replace(Point(1), y=7) == Point(1, 7)
    with pytest.raises(ValueError, match="-1"):
        replace(Point(1), y=-1)


def test_a_value_is_copied_and_pickled() -> None:
    one = RetryPolicy(max_attempts=3, retry_on=("ValueError",))

    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one


def test_dataclasses_take_a_value_for_one_of_theirs() -> None:
    known = dataclasses.fields(Point)

    assert dataclasses.is_dataclass(Point)
    assert dataclasses.asdict(Point(1)) == content_of(Point(1)) == {"x": 1, "y": 2, "tags": []}
    assert tuple(one.name for one in known) == names_of(Point) == ("x", "y", "tags")
    assert (known[1].default, known[2].default_factory, known[0].default) == (2, list, dataclasses.MISSING)


def test_a_match_takes_a_value_apart() -> None:
    match Point(3, 4):
        case Point(x, y):
            assert (x, y) == (3, 4)


def test_what_a_value_cannot_be_is_refused() -> None:
    for said in ({"frozen": False, "slots": True}, {"frozen": True, "slots": False}):
        with pytest.raises(TypeError, match="frozen"):
            value(**said)
    with pytest.raises(TypeError, match="bases"):
        value(frozen=True, slots=True)(type("Below", (Point,), {"__annotations__": {"z": int}}))


def test_values_load_without_the_library_they_stand_in_for() -> None:
    code = "import sys; import scriptfleet.domain.job, scriptfleet.domain.run; print('dataclasses' in sys.modules)"

    assert (
        subprocess.run(
            [sys.executable, "-S", "-c", code], env={"PYTHONPATH": _root()}, capture_output=True, text=True, check=True
        ).stdout
        == "False\n"
    )


def _root() -> str:
    return str(next(iter(sys.modules["scriptfleet"].__path__))).removesuffix("/scriptfleet")
