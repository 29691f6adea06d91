"""How a process tree is drawn for people."""

from typing import Any

from scriptfleet.cli.process_view import tree_lines
from tests import event_factory as make


def process(pid: int, parent_pid: int, command: str = "x") -> dict[str, Any]:
    numbers = {"cpu_seconds": 1.25, "memory_mb": 20.5, "age_seconds": 3.0}
    return {"pid": pid, "parent_pid": parent_pid, "command": command, **numbers}


def tree(*processes: dict[str, Any], count: int = 0) -> dict[str, Any]:
    return {"seconds": 1.0, "count": count or len(processes), "processes": list(processes)}


def test_children_stand_below_their_parents() -> None:
    shown = tree_lines(tree(process(9, 1, "main"), process(4, 8, "leaf"), process(8, 9, "middle"), process(3, 9, "b")))

    assert [line[39:] for line in shown] == ["command", "main", "  middle", "    leaf", "  b"]
    assert shown[1] == "       9      1.25      20.5        3  main"


def test_what_comes_from_a_record_is_drawn() -> None:
    assert [line.split()[0] for line in tree_lines(make.TREE.to_dict())] == ["pid", "71", "72"]


def test_what_was_left_out_is_counted() -> None:
    assert tree_lines(tree(process(9, 1), count=60))[-1] == "and 59 smaller ones"


def test_a_ring_and_a_deep_line_of_hostile_processes_fit_the_screen_and_come_to_an_end() -> None:
    ring = [process(1, 2, "\x1b[31m" + "y" * 300), process(2, 1, "<b>\nz")]
    deep = [process(pid, pid - 1, "w" * 300) for pid in range(10, 50)]

    shown = tree_lines(tree(*ring, *deep))

    assert len(shown) == 43
    assert all(line.isprintable() and len(line) <= 80 for line in shown)
