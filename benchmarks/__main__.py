"""`python -m benchmarks [NAME …]`: takes the benchmarks, prints their figures and writes each to benchmarks/out."""

import argparse
import datetime
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    accuracy,
    drain,
    engine_memory,
    fleet_size,
    history,
    ingest,
    memory,
    overhead,
    queue_depth,
    recovery,
    sampling,
    start_latency,
    submit_rate,
    warm_start,
)
from benchmarks.effort import Effort
from benchmarks.figure import BenchmarkFailed, Figure, table
from benchmarks.machine import in_words, machine
from scriptfleet.config import without_password
from scriptfleet.errors import ScriptfleetError

_OUT = Path(__file__).parent / "out"

BENCHMARKS: dict[str, Callable[[Effort], list[Figure]]] = {
    "submit_rate": submit_rate.measure,
    "start_latency": start_latency.measure,
    "warm_start": warm_start.measure,
    "overhead": overhead.measure,
    "accuracy": accuracy.measure,
    "drain": drain.measure,
    "recovery": recovery.measure,
    "queue_depth": queue_depth.measure,
    "fleet_size": fleet_size.measure,
    "sampling": sampling.measure,
    "memory": memory.measure,
    "engine_memory": engine_memory.measure,
    "ingest": ingest.measure,
    "history": history.measure,
}


def main() -> int:
    """Take them; give 1 when one could not be taken. A figure over its budget is shown, not an error."""
    chosen = _arguments()
    for signum in (signal.SIGINT, signal.SIGTERM):
        # Ends what was started, on the way out.
        signal.signal(signum, lambda number, _: sys.exit(128 + number))
    facts = machine()
    print(in_words(facts), flush=True)
    effort = Effort(chosen.quick, chosen.jobs, chosen.runs, chosen.database)
    failed = [name for name in chosen.names or BENCHMARKS if not _take(name, effort, facts, chosen.out)]
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Take benchmarks and print their figures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)} (else all)")
    parser.add_argument("--jobs", type=int, metavar="N", help=f"jobs of drain (else {drain.DEFAULT_JOBS:,})")
    parser.add_argument("--runs", type=int, metavar="N", help=f"runs of history (else {history.DEFAULT_RUNS:,})")
    parser.add_argument("--database", metavar="URL", help="a seeded store: history asks it, and seeds none")
    parser.add_argument(
        "--out", type=Path, default=_OUT, metavar="FOLDER", help="where the JSON goes (else benchmarks/out)"
    )
    parser.add_argument("--quick", action="store_true", help="smallest sizes: shows that all works, not how fast it is")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.names if name not in BENCHMARKS]:
        parser.error(f"no such benchmark: {', '.join(unknown)}: choose from {', '.join(BENCHMARKS)}")
    if chosen.jobs is not None and (chosen.jobs < 1 or (chosen.names and "drain" not in chosen.names)):
        parser.error(f"--jobs {chosen.jobs}: a number above 0, with the benchmark drain")
    if chosen.database is not None and chosen.names != ["history"]:
        parser.error(f"--database {without_password(chosen.database)}: with the benchmark history alone")
    return chosen


def _take(name: str, effort: Effort, facts: dict[str, Any], out: Path) -> bool:
    began = time.monotonic()
    try:
        figures = BENCHMARKS[name](effort)
    except (BenchmarkFailed, ScriptfleetError) as fault:
        print(f"\n{name}: not taken: {fault}", file=sys.stderr, flush=True)
        return False
    seconds = time.monotonic() - began
    print(f"\n{name} ({seconds:.0f} s)\n{table(figures)}", flush=True)
    _write(out / f"{name}.json", name, figures, facts | {"is_quick": effort.is_quick}, seconds)
    return True


def _write(path: Path, name: str, figures: list[Figure], facts: dict[str, Any], seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    taken = {
        "benchmark": name,
        "taken_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "took_seconds": round(seconds, 1),
        "machine": facts,
        "figures": [figure.to_dict() for figure in figures],
    }
    path.write_text(json.dumps(taken, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
