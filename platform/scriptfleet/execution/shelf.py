"""Shims between runs: a shelf of idle ones under one launcher, and a shelf for each set of preloaded modules."""

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scriptfleet.execution.launcher import Launcher, Line
from scriptfleet.execution.launching import Started

if TYPE_CHECKING:
    from typing import Protocol

    from scriptfleet.execution.kept.keep import Keep

    class Source(Protocol):
        """Where shims come from: a launcher of this process, or an interpreter that is kept between commands."""

        def new_shim(self) -> Line:
            """Have a shim forked and give the line to it. Raises EngineFailed."""

        def start_ahead(self, started: Started | None = None) -> None:
            """Have the first shim come, and go on meanwhile; a launcher that was ``started`` is used or ended."""

        def prepare(self) -> None:
            """Wait until the first shim is ready; what is wrong is told when it is wanted."""

        def close(self) -> None:
            """Need no more shims."""


#: A warm interpreter serves so many runs: what scripts leave in memory shared with it does not add up.
RUNS_PER_WARM_SHIM: Final = 100
#: How often it is looked whether installed packages have changed.
_LOOK_SECONDS: Final = 2.0
_MOST_WARM_SHELVES: Final = 4
#: Idle shims beyond this are let go: each takes a MiB, and is forked again in 2 ms when a run needs it.
_MOST_IDLE: Final = max(8, 2 * (os.cpu_count() or 1))

Preload = tuple[str, ...] | None


class Shelf:
    """Shims of one launcher: one for each run, and some idle ones."""

    def __init__(self, launcher: "Source", runs_per_shim: int | None = None) -> None:
        self._launcher, self._runs_per_shim = launcher, runs_per_shim
        self._guard = threading.Lock()
        self._idle: list[Line] = []
        self._busy: set[Line] = set()
        self._is_closed = False

    def take(self) -> Line:
        """Give an idle shim, or have one forked. Raises EngineFailed."""
        line = self._idle_line() or self._launcher.new_shim()
        with self._guard:
            self._busy.add(line)
        return line

    def start_ahead(self, started: Started | None = None) -> None:
        """Start the launcher, or use one that was ``started``, without waiting until it is ready."""
        self._launcher.start_ahead(started)

    def prepare(self) -> None:
        """Wait until the first shim is ready."""
        self._launcher.prepare()

    def give_back(self, line: Line, is_sound: bool) -> None:
        """Put a shim back; one that is broken, has served its time or is one too many is let go."""
        line.runs += 1
        is_worn = self._runs_per_shim is not None and line.runs >= self._runs_per_shim
        with self._guard:
            self._busy.discard(line)
            if is_sound and not is_worn and not self._is_closed and len(self._idle) < _MOST_IDLE:
                self._idle.append(line)
                return
        line.close()

    def close(self) -> None:
        """End every shim, what they still run, and the launcher."""
        with self._guard:
            self._is_closed = True
            for line in self._busy:
                line.hang_up()
            for line in self._idle:
                line.close()
            self._idle.clear()
        self._launcher.close()

    def retire(self) -> None:
        """Let idle shims go and take none back; what runs goes on."""
        with self._guard:
            self._is_closed = True
            for line in self._idle:
                line.close()
            self._idle.clear()
        # Shims live on their own lines: a launcher that is gone stops no run.
        self._launcher.close()

    def _idle_line(self) -> Line | None:
        """Take an idle shim; those that were killed while they were idle are passed over."""
        with self._guard:
            while self._idle:
                line = self._idle.pop()
                if line.is_open():
                    return line
                line.close()
        return None


class Shelves:
    """The cold shelf, and warm ones by what they have preloaded; replaced when installed packages change."""

    def __init__(
        self,
        inherit_stdio: bool,
        env: dict[str, str],
        is_portable: bool = False,
        is_for_many: bool = False,
        keep: "Keep | None" = None,
    ) -> None:
        """``env`` is the environment in which warm interpreters import their modules.

        With ``keep`` they stay when this process ends, and are used by the next.
        With ``is_portable`` shims do without what only Linux offers; with ``is_for_many`` cold ones share more memory.
        """
        self._inherit, self._env, self._is_portable, self._keep = inherit_stdio, env, is_portable, keep
        self.cold = Shelf(Launcher(inherit_stdio, is_portable=is_portable, is_for_many=is_for_many))
        self._guard = threading.Lock()
        self._warm: dict[tuple[str, ...], Shelf] = {}
        #: As they were when the first warm interpreter was asked for, and when that was last looked at.
        self._packages: tuple[int, ...] | None = None
        self._looked_at = 0.0

    def of(self, preload: Preload) -> Shelf:
        """Give the shelf for a run: None is the cold one, () a warm one without modules."""
        if preload is None:
            return self.cold
        with self._guard:
            if self._keep is None:
                # One that is kept looks for itself.
                self._replace_if_changed()
            if preload not in self._warm:
                self._make_room()
                # One that is kept is asked for each run anew, whether it still is what a fresh one would be.
                most = RUNS_PER_WARM_SHIM if self._keep is None else 1
                self._warm[preload] = Shelf(self._warm_source(preload), most)
            return self._warm[preload]

    def close(self) -> None:
        """Close all."""
        with self._guard:
            for shelf in (self.cold, *self._warm.values()):
                shelf.close()

    def _warm_source(self, preload: tuple[str, ...]) -> "Source":
        if self._keep is None:
            return Launcher(self._inherit, preload, self._env, self._is_portable)
        # Few runs are warm.
        from scriptfleet.execution.kept.launcher import KeptLauncher  # noqa: PLC0415

        return KeptLauncher(preload, self._keep, self._is_portable)

    def _make_room(self) -> None:
        if len(self._warm) >= _MOST_WARM_SHELVES:
            oldest = next(iter(self._warm))
            self._warm.pop(oldest).retire()

    def _replace_if_changed(self) -> None:
        now = time.monotonic()
        if self._packages is not None and now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at, before, self._packages = now, self._packages, _fingerprint()
        if before != self._packages:
            for shelf in self._warm.values():
                shelf.retire()
            self._warm.clear()


def _fingerprint() -> tuple[int, ...]:
    """Tell one state of the installed packages from another: installing anything changes its folder's time."""
    # Cold starts, as of a command line, do without.
    import sysconfig  # noqa: PLC0415

    folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return tuple(Path(folder).stat().st_mtime_ns for folder in sorted(folders) if Path(folder).is_dir())
