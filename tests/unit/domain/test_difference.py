"""What differs between two runs, in the order in which people want to know it."""

from scriptfleet.domain.difference import Difference, differences, spec_differences


def test_words_come_first_then_the_greatest_relative_difference_and_what_one_lacks_last() -> None:
    before = {
        "outcome": "succeeded",
        "wall": 10.0,
        "memory": 100,
        "exit_code": 0,
        "io": None,
        "same": 5,
        "start_time": "a",
    }
    after = {"outcome": "failed", "wall": 11.0, "memory": 400, "exit_code": 3, "io": 7, "same": 5, "start_time": "b"}

    found = differences(before, after)

    assert [one.name for one in found] == ["outcome", "exit_code", "memory", "wall", "io"]
    assert found[2] == Difference("memory", 100, 400, 0.75)


def test_the_outcome_comes_before_other_words_and_how_it_was_measured_last() -> None:
    before = {"memory_method": "wait4", "error": "a", "outcome": "failed", "only": 1}
    after = {"memory_method": "sampled", "error": "b", "outcome": "succeeded"}

    assert [one.name for one in differences(before, after)] == ["outcome", "error", "only", "memory_method"]


def test_yes_and_no_are_no_numbers() -> None:
    assert differences({"success": True}, {"success": False}) == [Difference("success", True, False, None)]


def test_specs_are_compared_by_path_also_under_names_with_dots() -> None:
    before = {"env": {"A.B": "1"}, "config": {"command": "x"}, "labels": {"a": "1"}}
    after = {"env": {"A.B": "2"}, "config": {"command": "x"}}

    assert [(one.name, one.before, one.after) for one in spec_differences(before, after)] == [
        ("env.A.B", "1", "2"),
        ("labels", {"a": "1"}, None),
    ]
