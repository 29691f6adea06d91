"""``scriptfleet worker``: becomes a Celery worker that runs jobs."""

import os

from scriptfleet.cli.celery_process import (
    add_log_level,
    add_worker_options,
    become,
    default_concurrency,
    need_broker,
    worker_command,
)
from scriptfleet.cli.fleet_options import add_fleet_options, settings_of
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.cli.verbs import require
from scriptfleet.config import environment_of


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    add_worker_options(parser)
    parser.add_argument("--name", help="its name in front of @host (else worker- and the process id)")
    add_log_level(parser)
    add_fleet_options(parser)
    parser.show_examples(
        "scriptfleet worker",
        "scriptfleet worker --queues default,nightly --concurrency 8 --name big",
        "scriptfleet worker --redis redis://broker.example:6379/0",
    )


def execute(chosen: Namespace) -> int:
    """Become the worker; SIGTERM lets its runs finish."""
    require("celery")
    settings = settings_of(chosen)
    need_broker(settings)
    # Names must differ: leases and lists go by them. The process id stays the same through exec.
    name = f"worker-{os.getpid()}" if chosen.name is None else chosen.name
    slots = chosen.concurrency or default_concurrency()
    become(worker_command(chosen.queues, slots, name, chosen.log_level), environment_of(settings))
