"""How fast a producer submits, many at once and one by one, beside Celery's own send_task. No worker is up."""

import statistics
import time
from collections.abc import Callable

from celery import Celery

from benchmarks.celery_tasks import RUN
from benchmarks.effort import Effort
from benchmarks.figure import Figure, at_least
from benchmarks.server import Server, running_server
from scriptfleet.queues import drafts
from scriptfleet.queues.client import Client

_ROUNDS, _QUICK_ROUNDS = 3, 1
_MANY, _QUICK_MANY = 10_000, 500
#: For what goes one by one.
_FEW, _QUICK_FEW = 1_000, 50

#: How many jobs, and what submits them.
_Way = tuple[int, Callable[[], object]]


def measure(effort: Effort) -> list[Figure]:
    """Take the median of some rounds, all ways in turn."""
    rounds, many, few = effort.of(_ROUNDS, _QUICK_ROUNDS), effort.of(_MANY, _QUICK_MANY), effort.of(_FEW, _QUICK_FEW)
    with running_server() as server, Celery("benchmarks-producer", broker=server.celery_url) as app:
        rates = _rates(server, _ways(Client(settings=server.settings), app, many, few), rounds)
    peer, floor, detail = "Celery send_task", rates["celery"], {"rounds": rounds, "jobs": many}
    name, budget = f"submit_many, {many:,} shell jobs", at_least(15_000)
    return [
        Figure(name, rates["many"], "jobs/s", budget, peer, floor, detail),
        Figure("the same, with making the drafts", rates["drafts"], "jobs/s", None, peer, floor, detail),
        Figure("submit_shell, one by one", rates["single"], "jobs/s", None, peer, floor, {**detail, "jobs": few}),
    ]


def _ways(client: Client, app: Celery, many: int, few: int) -> dict[str, _Way]:
    made = [drafts.of_command(f"echo {number}") for number in range(many)]
    return {
        "drafts": (many, lambda: client.submit_many(drafts.of_command(f"echo {n}") for n in range(many))),
        "many": (many, lambda: client.submit_many(made)),
        "single": (few, lambda: [client.submit_shell(f"echo {n}") for n in range(few)]),
        "celery": (few, lambda: [app.send_task(RUN, [["echo", str(n)]]) for n in range(few)]),
    }


def _rates(server: Server, ways: dict[str, _Way], rounds: int) -> dict[str, float]:
    for _, submit in ways.values():
        submit()
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (count, submit) in ways.items():
            server.empty()
            started = time.perf_counter()
            submit()
            rates[name].append(count / (time.perf_counter() - started))
    return {name: statistics.median(found) for name, found in rates.items()}
