"""A process tree as pages show it: a row for each process, below its parent. Text that can't act."""

from collections import defaultdict
from typing import Any, Final

from scriptfleet.domain.process_tree import ProcessSeen, ProcessTree
from scriptfleet.results import shown

#: Deeper ones stand no further in.
_DEEPEST: Final = 8


def tree_rows(tree: ProcessTree) -> dict[str, Any]:
    """Give what a page shows of a tree: ``rows`` of depth and texts, and ``note``, what is to be said of it."""
    rows = [_row(depth, process) for depth, process in _in_order(tree.processes)]
    left_out = tree.count - len(rows)
    more = f"; {left_out:,} more, smaller ones, are not named" if left_out > 0 else ""
    plural = "es" if tree.count != 1 else ""
    return {"rows": rows, "note": f"{tree.count:,} process{plural} after {shown.duration(tree.seconds)}{more}"}


def _in_order(processes: tuple[ProcessSeen, ...]) -> list[tuple[int, ProcessSeen]]:
    children: dict[int, list[ProcessSeen]] = defaultdict(list)
    named = {one.pid for one in processes}
    for one in processes:
        # One whose parent is not named, or is itself, stands at the left.
        is_below = one.parent_pid in named and one.parent_pid != one.pid
        children[one.parent_pid if is_below else 0].append(one)
    found, waiting = [], [(0, one) for one in reversed(children[0])]
    while waiting:
        depth, one = waiting.pop()
        found.append((depth, one))
        waiting += [(depth + 1, below) for below in reversed(children.pop(one.pid, []))]
    # Pids that were given anew while the tree was read may go round in a circle.
    seen = {one.pid for _, one in found}
    return found + [(0, one) for one in processes if one.pid not in seen]


def _row(depth: int, process: ProcessSeen) -> list[Any]:
    return [
        min(depth, _DEEPEST),
        shown.printable(process.command),
        str(process.pid),
        shown.duration(process.cpu_seconds),
        shown.mebibytes(process.memory_mb),
        shown.ago(process.age_seconds),
    ]
