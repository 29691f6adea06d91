"""The table of answers: every error has a row, every row a code of its own."""

import inspect

import pytest

from scriptfleet import errors
from scriptfleet.results.errors import PROBLEMS, problem_of

EVERY_ERROR = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_every_error_has_a_row(kind: type[errors.ScriptfleetError]) -> None:
    assert kind in PROBLEMS


def test_no_code_stands_for_two_errors() -> None:
    codes = [problem.code for problem in PROBLEMS.values()]

    assert len(codes) == len(set(codes))


def test_an_error_without_a_row_of_its_own_is_answered_as_the_one_above_it() -> None:
    class Odd(errors.InvalidValue):
        pass

    assert problem_of(Odd("field", 1, "2")).code == "invalid_value"
