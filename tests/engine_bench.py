"""Runs scripts on a real engine as a worker would, and looks for what they may have left behind."""

import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Unpack

from scriptfleet.config import SECRET
from scriptfleet.domain.ids import new_job_id, new_run_id
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.run import RunRecord
from scriptfleet.execution import environment
from scriptfleet.execution.engine import Engine, Running
from scriptfleet.execution.identity import Identity
from scriptfleet.execution.pipeline import Assignment, Surroundings, execute
from scriptfleet.execution.program import HostRules
from scriptfleet.execution.secret import SecretChain
from scriptfleet.execution.secret_sources.environment import EnvironmentSecrets
from scriptfleet.execution.workspace import Workspaces
from scriptfleet.queues.drafts import Options, of_code, of_command

CODE_LIMIT = 1_000_000


class Bench:
    """An engine, and folders for its runs."""

    def __init__(self, engine: Engine, folder: Path, secrets: Mapping[str, str] | SecretChain | None = None) -> None:
        self.engine, self.folder, self._secrets = engine, folder, _chain(secrets)
        #: What jobs may do beyond running programs.
        self.rules = HostRules()
        #: In the environment of every process of every run of this bench.
        self.marker = uuid.uuid4().hex
        #: Where each run has new folders, unless a test gives those of the last one back.
        self.workspaces = Workspaces(folder)
        #: Folders of the last run.
        self.workspace = self.workspaces.take("none")

    def python(
        self,
        code: str,
        args: tuple[str, ...] = (),
        *,
        on_start: Callable[[Running], None] | None = None,
        lease_until: float | None = None,
        uv: bool | None = None,
        **options: Unpack[Options],
    ) -> RunRecord:
        """Run Python source text."""
        options["env"] = {"BENCH_MARKER": self.marker, **options.get("env", {})}
        return self.run(of_code(code, args, CODE_LIMIT, uv, **options).spec, code, on_start, lease_until)

    def shell(
        self,
        command: str,
        *,
        on_start: Callable[[Running], None] | None = None,
        lease_until: float | None = None,
        **options: Unpack[Options],
    ) -> RunRecord:
        """Run a shell command line."""
        options["env"] = {"BENCH_MARKER": self.marker, **options.get("env", {})}
        return self.run(of_command(command, **options).spec, None, on_start, lease_until)

    def run(
        self,
        spec: JobSpec,
        code: str | None = None,
        on_start: Callable[[Running], None] | None = None,
        lease_until: float | None = None,
    ) -> RunRecord:
        """Run a spec; ``code`` is its script."""
        who = Identity(new_run_id(), new_job_id(), 1, "bench", "host")
        self.workspace = self.workspaces.take(who.run_id)
        script = self.folder / f"{who.run_id}.py" if code is not None else None
        if script is not None and code is not None:
            script.write_text(code)
        around = Surroundings(self.engine, environment.on_fleet(os.environ), self._secrets, None, self.rules)
        return execute(around, Assignment(who, spec, self.workspace, script, lease_until=lease_until), on_start)

    def alive(self) -> list[int]:
        """Give the processes of runs of this bench that are alive."""
        return processes_with(f"BENCH_MARKER={self.marker}")


def _chain(secrets: Mapping[str, str] | SecretChain | None) -> SecretChain:
    return secrets if isinstance(secrets, SecretChain) else SecretChain(EnvironmentSecrets(secrets or {}, SECRET))


def processes_with(marker: str) -> list[int]:
    """Give the processes that have this text in their environment; zombies have none."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def kept_output(path: Path) -> bytes:
    """Give what is kept of a stream; one that nothing was written to has no file."""
    return path.read_bytes() if path.exists() else b""
