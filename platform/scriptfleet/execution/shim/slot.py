"""The shim: one process per slot, kept from run to run. It alone starts, waits for, accounts and ends a run's tree.

It ends the run at the time limit, at the lease's deadline, when told to, and when its line to the worker closes.
"""

from __future__ import annotations

import os
import select
import time
from _socket import socket

from scriptfleet.execution.shim import wire
from scriptfleet.execution.shim.outputs import Outputs
from scriptfleet.execution.shim.subreaper import become_subreaper
from scriptfleet.execution.shim.tracked import Tracked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scriptfleet.execution.shim.ends import Ends

_READ = 65_536
#: A run of so few seconds wakes its worker once, not twice.
_SHORT_SECONDS = 0.003


class Slot:
    """Serves runs, one after another, to the worker at the other end of ``line``."""

    def __init__(self, line: socket, ends: Ends, is_portable: bool = False) -> None:
        """``ends`` tell of what has ended; with ``is_portable`` it does without what only Linux offers."""
        self._line, self._inbox, self._is_portable = line, wire.Inbox(), is_portable
        #: What was not told yet of the run's start, and when it is to be told at the latest.
        self._unsaid, self._say_at = b"", 0.0
        self._ends = ends
        ends.begin()

    def serve(self) -> None:
        """Say hello, then serve until the worker closes the line."""
        if not self._is_portable:
            become_subreaper()
        self._tell({"event": "ready", "pid": os.getpid()})
        while self.serve_waiting():
            continue

    def serve_waiting(self) -> bool:
        """Wait for messages and serve the runs among them; give False when the worker closed the line."""
        messages = self._receive()
        if messages is None:
            return False
        return all(self._run(message) for message in messages if message["op"] == "run")

    def close(self) -> None:
        """Hear of no more ends; the line is its owner's to close."""
        self._ends.end()

    def _run(self, request: dict[str, Any]) -> bool:
        """Run one request to its end; give False when the worker went away meanwhile."""
        run = Tracked(request, self._is_portable)
        failure = run.start()
        if failure is not None:
            self._tell({"event": "failed", **failure})
            return True
        self._unsaid = wire.pack({"event": "started", **run.started()})
        self._say_at = time.monotonic() + _SHORT_SECONDS
        is_worker_there = self._watch(run)
        report = run.finish()
        if is_worker_there:
            self._tell({"event": "ended", **report})
        return is_worker_there

    def _watch(self, run: Tracked) -> bool:
        poller, line, ends = select.poll(), self._line.fileno(), self._ends
        for fd in (line, ends.fd):
            poller.register(fd, select.POLLIN)
        outputs = Outputs(run.captures, poller)
        while not run.is_over():
            ready = {fd for fd, _ in poller.poll(self._milliseconds_to_next(run))}
            outputs.take(ready)
            is_woken = ends.fd in ready
            if is_woken:
                ends.heard()
            if line in ready and not self._hear(run):
                run.kill_now()
                return False
            # Where there is but output, nothing was told of an end.
            run.step(may_have_ended=is_woken or line in ready or not ready)
            self._say_started()
        return True

    def _milliseconds_to_next(self, run: Tracked) -> float:
        known = run.milliseconds_to_next()
        if not self._unsaid:
            return known
        return min(known, max(0.0, self._say_at - time.monotonic()) * 1000)

    def _say_started(self) -> None:
        """Tell of the start once the run is no longer a very short one; of such a one start and end go in one piece."""
        if self._unsaid and time.monotonic() >= self._say_at:
            self._send(b"")

    def _hear(self, run: Tracked) -> bool:
        messages = self._receive()
        for message in messages or []:
            if message["op"] == "stop":
                run.stop(message["reason"], message["grace"])
            elif message["op"] == "lease":
                run.lease_until = message["until"]
        return messages is not None

    def _receive(self) -> list[dict[str, Any]] | None:
        try:
            arrived = self._line.recv(_READ)
        except ConnectionError:
            return None
        return self._inbox.feed(arrived) if arrived else None

    def _tell(self, message: dict[str, Any]) -> None:
        self._send(wire.pack(message))

    def _send(self, content: bytes) -> None:
        content, self._unsaid = self._unsaid + content, b""
        try:
            self._line.sendall(content)
        except (BrokenPipeError, ConnectionError):
            # The worker is gone; the next receive says so and ends this process.
            return
