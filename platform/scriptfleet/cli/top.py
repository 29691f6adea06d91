"""``scriptfleet top``: what runs now and what it takes, again and again in place."""

import dataclasses
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from scriptfleet.cli.amounts import NotAccepted, count, duration
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.screen import UNKNOWN, mebibytes, print_json
from scriptfleet.cli.tables import table_lines
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.domain import check
from scriptfleet.errors import BrokerUnreachable
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.fleet import FleetView
from scriptfleet.queues.running import RunningJob, running_jobs

_COLUMNS: Final = ("job", "name*", "worker*", "elapsed>", "CPU %>", "MiB>", "procs>", "progress")
_LEAST_SECONDS: Final = 0.2
_HOUR, _MINUTE = 3600, 60
_BAR: Final = 6
#: Terminals: the other screen and back, the cursor off and on, to the corner, the rest of the line or screen away.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_CORNER, _REST_OF_LINE, _REST = "\x1b[H", "\x1b[K\n", "\x1b[J"

_SORTS: Final[dict[str, Callable[[RunningJob], Any]]] = {
    "cpu": lambda job: -(job.cpu_percent or 0.0),
    "memory": lambda job: -(job.memory_mb or 0.0),
    "elapsed": lambda job: -(job.elapsed_seconds or 0.0),
    "name": lambda job: (job.name, job.job_id),
}


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument("--once", action="store_true", help="one look, as where the output is no terminal")
    parser.add_argument("--interval", type=_interval, default=1.0, metavar="TIME", help="between two looks (else 1s)")
    parser.add_argument("--sort", choices=_SORTS, default="cpu", metavar="BY", help=f"{', '.join(_SORTS)} (else cpu)")
    parser.add_argument("--queue", help="only jobs of this queue")
    parser.add_argument("--limit", type=count, metavar="N", help="at most so many (else what fits the terminal)")
    add_json(parser)
    add_fleet_options(parser)
    parser.show_examples(
        "scriptfleet top", "scriptfleet top --sort memory --interval 5s", "scriptfleet top --once --json"
    )


def execute(chosen: Namespace) -> int:
    """Show it until an interrupt; once with --once, --json, or where the output is no terminal."""
    if chosen.queue is not None:
        check.queue_name(chosen.queue)
    broker = Broker(settings_of(chosen))
    if chosen.as_json:
        print_json([dataclasses.asdict(job) for job in _jobs(broker, chosen)[: chosen.limit]])
    elif chosen.once or not sys.stdout.isatty():
        print("\n".join(_lines(broker, chosen, chosen.limit)))
    else:
        _watch(broker, chosen)
    return 0


def _watch(broker: Broker, chosen: Namespace) -> None:
    with _other_screen():
        pause = threading.Event()
        while True:
            try:
                lines = _lines(broker, chosen, chosen.limit or _room())
            except BrokerUnreachable as away:
                # It may come back, and whoever watches will see.
                lines = [str(away)]
            shown = "".join(line + _REST_OF_LINE for line in lines)
            print(_CORNER + shown + _REST, end="", flush=True)
            pause.wait(chosen.interval)


@contextmanager
def _other_screen() -> Iterator[None]:
    print(_ENTER, end="", flush=True)
    try:
        yield
    except KeyboardInterrupt:
        # The way out.
        pass
    finally:
        print(_LEAVE, end="", flush=True)


def _room() -> int:
    # Above the rows: a line of totals, an empty one, two of headings; below: how many more there are.
    return max(1, shutil.get_terminal_size().lines - 6)


def _lines(broker: Broker, chosen: Namespace, most: int | None) -> list[str]:
    jobs = _jobs(broker, chosen)
    with told_plainly(broker.url):
        workers = FleetView(broker.redis, broker.keys).workers()
    slots = sum(worker.slots for worker in workers)
    lines = [
        f"{len(jobs)} running · {_counted(len(workers), 'worker')}, {_counted(slots, 'slot')} · {_totals(jobs)}",
        "",
    ]
    lines += table_lines(_COLUMNS, [_cells(job) for job in jobs[:most]]) if jobs else ["nothing runs"]
    if most is not None and len(jobs) > most:
        lines.append(f"and {len(jobs) - most} more")
    return lines


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _jobs(broker: Broker, chosen: Namespace) -> list[RunningJob]:
    found = [job for job in running_jobs(broker) if chosen.queue in (None, job.queue)]
    return sorted(found, key=_SORTS[chosen.sort])


def _totals(jobs: list[RunningJob]) -> str:
    cpu, memory = sum(job.cpu_percent or 0 for job in jobs), sum(job.memory_mb or 0 for job in jobs)
    return f"CPU {cpu:.0f} % · {memory:,.0f} MiB"


def _cells(job: RunningJob) -> tuple[str, ...]:
    return (
        job.job_id[:8],
        job.name or UNKNOWN,
        job.worker or UNKNOWN,
        _clock(job.elapsed_seconds),
        UNKNOWN if job.cpu_percent is None else f"{job.cpu_percent:.0f}",
        mebibytes(job.memory_mb),
        UNKNOWN if job.processes is None else str(job.processes),
        _progress(job),
    )


def _clock(elapsed: float | None) -> str:
    if elapsed is None:
        return UNKNOWN
    whole = int(elapsed)
    hours, minutes, rest = whole // _HOUR, whole // _MINUTE % _MINUTE, whole % _MINUTE
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _progress(job: RunningJob) -> str:
    if job.progress is None:
        return UNKNOWN
    done = min(1.0, max(0.0, job.progress))
    return f"{'█' * round(done * _BAR):<{_BAR}} {done:>4.0%}"


def _interval(text: str) -> float:
    found = duration(text)
    if found < _LEAST_SECONDS:
        raise NotAccepted(f"{text!r} is not accepted: expected at least 200ms")
    return found
