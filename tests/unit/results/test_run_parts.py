"""What the page of a run makes of its curve, its processes and its limits."""

from scriptfleet.domain.process_tree import ProcessSeen, ProcessTree
from scriptfleet.domain.sample import Sample
from scriptfleet.domain.usage import Usage
from scriptfleet.results.pages.curve import GAP, chart_data, missed_samples, together
from scriptfleet.results.pages.limit_rows import limit_rows
from scriptfleet.results.pages.process_rows import tree_rows

MIB = 1024 * 1024


def process(pid: int, parent: int, command: str = "sh") -> ProcessSeen:
    return ProcessSeen(pid, parent, command, 0.5, 12.0, 3.0)


def test_a_long_curve_keeps_its_peaks() -> None:
    curve = [Sample(float(at), 100.0 if at == 1234 else 1.0, 5.0, 1) for at in range(5000)]

    seconds, cpu, memory, *_ = chart_data(curve)

    assert len(seconds) <= 600
    assert max(one for one in cpu if one is not None) == 100.0
    assert set(memory) == {5.0}
    assert chart_data([]) == [[], [], [], [], []]


def test_bytes_so_far_are_drawn_as_bytes_a_second_and_unknown_ones_not_at_all() -> None:
    curve = [Sample(1.0, 5.0, 5.0, 1, 4 * MIB, None), Sample(3.0, 5.0, 5.0, 1, 5 * MIB, None)]

    assert chart_data(curve)[3:] == [[4.0, 0.5], [None, None]]


def test_a_line_is_broken_where_samples_are_missing_and_the_page_says_how_many() -> None:
    curve = [Sample(float(at), 1.0, 5.0, 1, 0, 0) for at in [*range(5), *range(9, 14)]]

    seconds, cpu, *_, written = chart_data(curve)

    assert seconds[4:7] == [4.0, 6.5, 9.0]
    assert cpu[4:7] == [1.0, GAP, 1.0]
    assert written[5] == GAP
    assert missed_samples(curve) == "4 samples missed, in gaps of 5.0 s altogether."
    assert missed_samples(curve[:5]) == ""


def test_two_curves_share_an_axis_on_which_one_without_a_point_is_not_broken() -> None:
    left, right = [Sample(1.0, 1.0, 2.0, 1), Sample(3.0, 1.0, 2.0, 1)], [Sample(2.0, 7.0, 8.0, 1)]

    found = together(left, right)

    assert found[:5] == [[1.0, 2.0, 3.0], [1.0, None, 1.0], [None, 7.0, None], [2.0, None, 2.0], [None, 8.0, None]]
    assert len(found) == 9


def test_a_gap_of_one_curve_is_a_gap_wherever_the_other_has_points() -> None:
    left = [Sample(float(at), 1.0, 5.0, 1) for at in [*range(5), *range(9, 14)]]
    right = [Sample(at + 0.5, 2.0, 5.0, 1) for at in range(14)]

    moments, of_left, of_right, *_ = together(left, right)

    broken = [at for at, value in zip(moments, of_left, strict=True) if value == GAP]
    assert broken == [4.5, 5.5, 6.5, 7.5, 8.5]
    assert GAP not in of_right


def test_processes_stand_below_their_parents_and_those_that_are_not_named_are_counted() -> None:
    tree = ProcessTree(1.5, 60, (process(10, 1), process(12, 11), process(11, 10), process(13, 10), process(9, 99)))

    found = tree_rows(tree)

    assert [(depth, pid) for depth, _, pid, *_ in found["rows"]] == [
        (0, "10"),
        (1, "11"),
        (2, "12"),
        (1, "13"),
        (0, "9"),
    ]
    assert found["note"] == "60 processes after 1.50 s; 55 more, smaller ones, are not named"


def test_processes_that_go_round_in_a_circle_or_call_themselves_odd_names_are_shown_harmless() -> None:
    tree = ProcessTree(1.0, 3, (process(1, 2), process(2, 1), process(3, 3, "\u202eevil\x1b[2J")))

    rows = tree_rows(tree)["rows"]

    assert sorted(row[2] for row in rows) == ["1", "2", "3"]
    assert "<U+202E>evil" in rows[0][1]
    assert "\x1b" not in rows[0][1]


def test_a_limit_tells_how_much_of_it_was_used() -> None:
    spec = {"timeout_seconds": 60.0, "limits": {"memory_mb": 512, "cpu_seconds": 1.5}, "retry": {"max_attempts": 3}}

    used = dict(limit_rows(spec, Usage(memory_max_mb=128.0)))

    assert used == {"Time": "60 s", "Memory": "512 MiB, 25 % used", "CPU time": "1.5 s", "Attempts": "3"}
    assert limit_rows({}) == []
