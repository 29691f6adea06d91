"""The live pump: one thread that passes on what running scripts have written since it last looked."""

import logging
from functools import partial
from pathlib import Path
from typing import Final

import redis

from scriptfleet.execution.plain_file import open_plain
from scriptfleet.queues.live_output import PIECE_BYTES, LiveOutput, NewPiece
from scriptfleet_workers.active import ActiveRun, ActiveRuns
from scriptfleet_workers.pressure import Pressure
from scriptfleet_workers.rounds import Rounds

log = logging.getLogger("scriptfleet.live")

_EVERY_SECONDS: Final = 0.2
#: What one look passes on of one stream; a script that writes faster is shown with gaps, and kept whole on disk.
_MOST_PER_LOOK: Final = 8 * PIECE_BYTES


class LivePump:
    """Passes on live output. Live output is for watching: when the broker is away it is left out, not kept."""

    def __init__(self, live: LiveOutput, active: ActiveRuns, keep_seconds: float, pressure: Pressure) -> None:
        self._live, self._active, self._keep_seconds, self._pressure = live, active, keep_seconds, pressure
        self._rounds = Rounds("live-output", _EVERY_SECONDS, self._look)

    def start(self) -> None:
        """Start the thread."""
        self._rounds.start()

    def close(self) -> None:
        """Stop the thread."""
        self._rounds.close()

    def finish(self, run: ActiveRun) -> None:
        """Pass on the rest of a run that was shown live, and mark its end. Short runs never were: nothing is sent."""
        if not any(run.sent.values()):
            return
        try:
            if not self._pressure.keeps_output():
                self._live.write(_fresh(run))
            self._live.end(run.claim.run_id, self._keep_seconds)
        except redis.RedisError as fault:
            log.warning("live_output_left_out run=%s reason=%s", run.claim.run_id, fault)

    def _look(self) -> None:
        if self._pressure.keeps_output():
            return
        pieces: list[NewPiece] = []
        for run in self._active.all():
            run.while_it_runs(partial(_collect, run, pieces))
        if not pieces:
            return
        try:
            self._live.write(pieces)
        except redis.RedisError as fault:
            log.warning("live_output_left_out pieces=%d reason=%s", len(pieces), fault)


def _collect(run: ActiveRun, pieces: list[NewPiece]) -> None:
    pieces += _fresh(run)


def _fresh(run: ActiveRun) -> list[NewPiece]:
    found = []
    for stream, path in (("stdout", run.workspace.stdout), ("stderr", run.workspace.stderr)):
        content = _read_from(path, run, stream)
        begin = run.sent[stream] - len(content)
        for start in range(0, len(content), PIECE_BYTES):
            found.append(NewPiece(run.claim.run_id, stream, content[start : start + PIECE_BYTES], begin + start))
    return found


def _read_from(path: Path, run: ActiveRun, stream: str) -> bytes:
    try:
        with open_plain(path) as kept:
            size = kept.seek(0, 2)
            kept.seek(max(run.sent[stream], size - _MOST_PER_LOOK))
            content = kept.read(_MOST_PER_LOOK)
            run.sent[stream] = kept.tell()
    except OSError:
        # Not there yet; or the script has put something else there, which the report at its end tells.
        return b""
    return content
