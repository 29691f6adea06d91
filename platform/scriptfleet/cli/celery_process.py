"""How processes of the fleet are started: the same commands for the verbs and for ``up``."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from scriptfleet.cli.amounts import count
from scriptfleet.cli.verb_parser import VerbParser
from scriptfleet.config import NoFleet, Settings, python_executable
from scriptfleet.domain import check

LOG_LEVELS: Final = ("debug", "info", "warning", "error", "critical")
WORKER_APP, BEAT_APP = "scriptfleet_workers.app", "scriptfleet_beat.app"


def add_worker_options(parser: VerbParser, else_concurrency: str = "the number of CPUs") -> None:
    """Add what a worker is told."""
    parser.add_argument("--queues", default="default", metavar="A,B", help="queues to serve (else default)")
    parser.add_argument("--concurrency", type=count, metavar="N", help=f"runs at once (else {else_concurrency})")


def add_log_level(parser: VerbParser) -> None:
    """Add --log-level."""
    parser.add_argument("--log-level", choices=LOG_LEVELS, default="info", help="how much is logged (else info)")


def worker_command(queues: str, concurrency: int, name: str, log_level: str) -> list[str]:
    """Give the command of a worker. Raises InvalidValue for names that cannot be."""
    names = [check.queue_name(queue.strip(), "queues") for queue in queues.split(",")]
    check.queue_name(name, "worker name")
    served = ["--queues", ",".join(names), "--concurrency", str(concurrency), "--hostname", f"{name}@%h"]
    return [python_executable(), "-m", "scriptfleet_workers", *served, "--loglevel", log_level]


def beat_command(log_level: str) -> list[str]:
    """Give the command of beat."""
    return celery_command(BEAT_APP, "beat", "--loglevel", log_level)


def celery_command(app: str, *words: str) -> list[str]:
    """Give a command of Celery's own program."""
    return [python_executable(), "-m", "celery", "--app", app, *words]


def default_concurrency() -> int:
    """Give the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def become(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace this process by the command, so that signals reach it with nothing in between."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], list(command), dict(environment))  # noqa: S606 - no shell is wanted


def need_broker(settings: Settings) -> None:
    """Raise NoFleet when no broker is named: the process would start and then find nothing."""
    if not settings.redis_url:
        raise NoFleet(settings.home)
