"""`python -m scriptfleet_workers`: the worker as `scriptfleet worker` and `up` start it.

It is Celery's worker without Celery's command line, which loads what only other commands need, plugins such as Flower
among them: 15 MiB that a worker would never use.
"""

import argparse
import sys

from scriptfleet_workers.leave_out import UNUSED, left_out

with left_out(UNUSED):
    from celery.utils.nodenames import host_format

    from scriptfleet_workers.app import app

    # Celery loads it when it is first asked for.
    Worker = app.Worker


def main() -> None:
    """Run until told to stop."""
    chosen = _parser().parse_args()
    worker = Worker(
        hostname=host_format(chosen.hostname),
        queues=chosen.queues,
        concurrency=chosen.concurrency,
        loglevel=chosen.loglevel.upper(),
        task_events=True,
        # They make workers talk to each other at start and all the time; nothing here uses what they say.
        without_mingle=True,
        without_gossip=True,
    )
    worker.start()
    sys.exit(worker.exitcode)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scriptfleet_workers", allow_abbrev=False)
    parser.add_argument("--queues", required=True, help="names with commas between them")
    parser.add_argument("--concurrency", type=int, required=True, help="runs at once")
    parser.add_argument("--hostname", required=True, help="its name, with %%h for the host")
    parser.add_argument("--loglevel", default="info")
    return parser


if __name__ == "__main__":
    main()
