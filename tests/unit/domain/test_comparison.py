"""What differs between two runs."""

from scriptfleet.domain.comparison import measure_differences, spec_differences
from scriptfleet.domain.usage import Usage


def test_what_differs_most_comes_first_and_what_is_alike_is_left_out() -> None:
    left = Usage(execution_time_seconds=10.0, memory_max_mb=100.0, exit_code=0, user_time_seconds=1.0)
    right = Usage(execution_time_seconds=11.0, memory_max_mb=400.0, exit_code=0, user_time_seconds=1.0)

    found = measure_differences(left, right)

    assert [one.name for one in found] == ["memory_max_mb", "execution_time_seconds"]
    assert found[0].relative == 0.75


def test_what_one_alone_knows_comes_last_and_moments_are_not_compared() -> None:
    left = Usage(start_time="2026-01-01", io_method="rusage", num_fds=3)
    right = Usage(start_time="2026-01-02", num_fds=4, custom={"rows": 5.0})

    assert [(one.name, one.relative) for one in measure_differences(left, right)] == [
        ("num_fds", 0.25),
        ("io_method", None),
        ("custom.rows", None),
    ]


def test_yes_and_no_are_not_numbers() -> None:
    (found,) = measure_differences(Usage(success=True), Usage(success=False))

    assert found.relative is None


def test_specs_are_compared_by_dotted_names() -> None:
    left = {"name": "a", "limits": {"memory_mb": 100}, "env": {"MODE": "fast"}, "queue": "default"}
    right = {"name": "a", "limits": {"memory_mb": 200}, "queue": "slow"}

    found = {one.name: (one.left, one.right) for one in spec_differences(left, right)}

    assert found == {"limits.memory_mb": (100, 200), "env.MODE": ("fast", None), "queue": ("default", "slow")}
