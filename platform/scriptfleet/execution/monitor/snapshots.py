"""Pictures of a run's process tree: bounded, without secrets, and one of them kept for its record."""

import heapq
from collections.abc import Mapping
from typing import Final

from scriptfleet.domain.process_tree import MOST_PROCESSES, ProcessSeen, ProcessTree
from scriptfleet.execution.monitor.tree import ProcessFacts, Reading, Run, Tree

_MIB: Final = 1024 * 1024
#: A younger run is not looked at: what ends at once costs no more than it did.
_FIRST_SECONDS: Final = 0.2
#: Between two looks: while the tree grows, and while it stays as large as it was.
_GROWN_SECONDS, _SAME_SECONDS = 0.25, 2.0


class Snapshots:
    """Pictures of one run."""

    def __init__(self, run: Run, tree: Tree) -> None:
        self._run, self._tree = run, tree
        #: The largest so far, the latest of equal ones.
        self.kept: ProcessTree | None = None
        self._kept_of: Mapping[int, Reading] | None = None
        #: What commands were shown as last time, by their process.
        self._commands: dict[int, tuple[ProcessFacts, str]] = {}

    def consider(self, seconds: float, readings: Mapping[int, Reading]) -> None:
        """Take one to keep when it is due."""
        if self.is_due(seconds, readings):
            self.kept, self._kept_of = self.take(seconds, readings), readings

    def is_due(self, seconds: float, readings: Mapping[int, Reading]) -> bool:
        """Tell whether one is to be kept. Of processes that have not run since it would show no more than their age."""
        if self.kept is None:
            return seconds >= _FIRST_SECONDS
        count = len(readings)
        if readings is self._kept_of or count < self.kept.count:
            return False
        return seconds - self.kept.seconds >= (_GROWN_SECONDS if count > self.kept.count else _SAME_SECONDS)

    def take(self, seconds: float, readings: Mapping[int, Reading]) -> ProcessTree:
        """Take one: of many processes the largest. ``seconds`` are since the start of the run."""
        rest = (pid for pid in readings if pid != self._run.main_pid)
        largest = heapq.nlargest(MOST_PROCESSES - 1, rest, key=lambda pid: readings[pid].rss_bytes)
        chosen = [self._run.main_pid, *largest] if self._run.main_pid in readings else largest
        before, self._commands = self._commands, {}
        found = (self._seen(pid, readings[pid], before.get(pid)) for pid in chosen)
        return ProcessTree(round(seconds, 3), len(readings), tuple(one for one in found if one is not None))

    def _seen(self, pid: int, reading: Reading, before: tuple[ProcessFacts, str] | None) -> ProcessSeen | None:
        # Short runs have no pictures.
        from scriptfleet.execution.monitor.command import shown_command  # noqa: PLC0415

        facts = self._tree.facts(pid)
        if facts is None:
            return None
        if before is not None and (before[0].arguments, before[0].name) == (facts.arguments, facts.name):
            command = before[1]
        else:
            command = shown_command(facts, self._run.masks)
        self._commands[pid] = facts, command
        memory_mb, cpu = round(reading.rss_bytes / _MIB, 2), round(reading.cpu_seconds, 3)
        return ProcessSeen(pid, facts.parent_pid, command, cpu, memory_mb, round(facts.age_seconds, 1))
