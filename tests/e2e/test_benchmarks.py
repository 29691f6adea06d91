"""Every benchmark still runs, at its smallest size. What it measures is looked at by people, not here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
#: Those left out take minutes, or half a minute for many processes of other systems; they share their parts with these.
_SHORT = ("submit_rate", "overhead", "warm_start", "sampling", "engine_memory", "queue_depth", "fleet_size", "ingest")


@pytest.mark.timeout(120)
def test_short_benchmarks_run_and_leave_their_figures(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", *_SHORT, "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=_ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    taken = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in _SHORT}
    assert all(said["figures"] and said["machine"]["is_quick"] for said in taken.values())


def test_every_benchmark_is_told_of_in_the_docs() -> None:
    command = [sys.executable, "-m", "benchmarks", "--help"]
    said = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True).stdout
    names = " ".join(said.split()).partition("one of ")[2].partition(" (else all)")[0].split(", ")

    page = (_ROOT / "docs" / "benchmarks.md").read_text()

    assert len(names) > 10
    assert [name for name in names if f"| `{name}` |" not in page] == []
