"""``scriptfleet worker``: becomes a Celery worker that runs jobs."""

import os

from scriptfleet.cli.amounts import duration, pair, percent, port
from scriptfleet.cli.celery_process import (
    add_log_level,
    add_worker_options,
    become,
    default_concurrency,
    need_broker,
    worker_command,
)
from scriptfleet.cli.fleet_options import add_fleet_options, settings_of
from scriptfleet.cli.surroundings_options import add_warm, check_preload
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.cli.verbs import require
from scriptfleet.config import environment_of
from scriptfleet.errors import InvalidValue
from scriptfleet.execution.cgroups.find import find_hierarchy
from scriptfleet.execution.cgroups.method import Method

_METHODS = ", ".join(Method)


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    add_worker_options(parser)
    parser.add_argument("--name", help="its name in front of @host (else worker- and the process id)")
    add_log_level(parser)
    add_warm(parser)
    group = parser.add_argument_group("host")
    group.add_argument("--max-cpu-percent", type=percent, metavar="N", help="take no new job while CPU is above this")
    group.add_argument("--max-memory-percent", type=percent, metavar="N", help="take no new job while memory is")
    group.add_argument(
        "--monitor",
        choices=[str(method) for method in Method],
        metavar="METHOD",
        help=f"how runs are accounted: {_METHODS}",
    )
    parser.add_argument(
        "--drain-seconds",
        type=duration,
        metavar="TIME",
        help="once told to stop, what runs may go on for so long (else 20s); then its jobs go to other workers",
    )
    parser.add_argument(
        "--label",
        type=pair,
        action="append",
        metavar="NAME=VALUE",
        help="offer this to jobs that --require it, such as gpu=a100 (repeatable)",
    )
    parser.add_argument("--health-port", type=port, metavar="N", help="serve /livez, /readyz and /metrics on loopback")
    add_fleet_options(parser)
    parser.show_examples(
        "scriptfleet worker",
        "scriptfleet worker --queues default,nightly --concurrency 8 --name big",
        "scriptfleet worker --warm --preload numpy,pandas --max-memory-percent 85",
        "scriptfleet worker --label gpu=a100 --label zone=eu",
        "scriptfleet worker --redis redis://broker.example:6379/0",
    )


def execute(chosen: Namespace) -> int:
    """Become the worker; SIGTERM lets its runs finish for a while, a second one does not."""
    require("celery")
    settings = settings_of(chosen)
    need_broker(settings)
    told = host_environment(chosen)
    if chosen.monitor is not None:
        # What cannot be had is told here, in one line, and not by each process of Celery's.
        find_hierarchy(Method(chosen.monitor))
    # Names must differ: leases and lists go by them. The process id stays the same through exec.
    name = f"worker-{os.getpid()}" if chosen.name is None else chosen.name
    slots = chosen.concurrency or default_concurrency()
    become(worker_command(chosen.queues, slots, name, chosen.log_level), environment_of(settings) | told)


def host_environment(chosen: Namespace) -> dict[str, str]:
    """Give the settings that the options stand for, as the worker's own process reads them. Raises InvalidValue."""
    preload = check_preload(chosen)
    said = {
        "SCRIPTFLEET_WARM_PRELOAD": ",".join(preload or ()) if chosen.warm else None,
        "SCRIPTFLEET_MAX_CPU_PERCENT": chosen.max_cpu_percent,
        "SCRIPTFLEET_MAX_MEMORY_PERCENT": chosen.max_memory_percent,
        "SCRIPTFLEET_MONITOR": chosen.monitor,
        "SCRIPTFLEET_DRAIN_SECONDS": chosen.drain_seconds,
        "SCRIPTFLEET_WORKER_LABELS": _labels(chosen.label),
        "SCRIPTFLEET_WORKER_HEALTH_PORT": chosen.health_port,
    }
    return {name: str(value) for name, value in said.items() if value is not None}


def _labels(given: list[tuple[str, str]] | None) -> str | None:
    for name, value in given or ():
        if "," in f"{name}{value}":
            raise InvalidValue("--label", f"{name}={value}", "a label without a comma")
    return ",".join(f"{name}={value}" for name, value in given) if given else None
