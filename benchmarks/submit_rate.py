"""How fast a producer submits, many at once and one by one, beside Celery's own send_task. No worker is up."""

import statistics
import time
from collections.abc import Callable

from celery import Celery

from benchmarks.celery_tasks import RUN
from benchmarks.figure import Figure, at_least
from benchmarks.server import Server, running_server
from scriptfleet.queues import drafts
from scriptfleet.queues.client import Client

_ROUNDS = 3
_MANY, _FEW = 10_000, 1_000


def measure() -> list[Figure]:
    """Take the median of some rounds, all ways in turn."""
    with running_server() as server, Celery("benchmarks-producer", broker=server.celery_url) as app:
        client = Client(settings=server.settings)
        made = [drafts.of_command(f"echo {number}") for number in range(_MANY)]
        ways: dict[str, tuple[int, Callable[[], object]]] = {
            "drafts": (_MANY, lambda: client.submit_many(drafts.of_command(f"echo {n}") for n in range(_MANY))),
            "many": (_MANY, lambda: client.submit_many(made)),
            "single": (_FEW, lambda: [client.submit_shell(f"echo {n}") for n in range(_FEW)]),
            "celery": (_FEW, lambda: [app.send_task(RUN, [["echo", str(n)]]) for n in range(_FEW)]),
        }
        rates = _rates(server, ways)
    peer, floor = "Celery send_task", rates["celery"]
    return [
        Figure(
            "submit_many, 10,000 shell jobs",
            rates["many"],
            "jobs/s",
            at_least(15_000),
            peer,
            floor,
            {"rounds": _ROUNDS, "jobs": _MANY},
        ),
        Figure("the same, with making the drafts", rates["drafts"], "jobs/s", None, peer, floor),
        Figure("submit_shell, one by one", rates["single"], "jobs/s", None, peer, floor, {"jobs": _FEW}),
    ]


def _rates(server: Server, ways: dict[str, tuple[int, Callable[[], object]]]) -> dict[str, float]:
    for _, submit in ways.values():
        submit()
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(_ROUNDS):
        for name, (count, submit) in ways.items():
            server.empty()
            started = time.perf_counter()
            submit()
            rates[name].append(count / (time.perf_counter() - started))
    return {name: statistics.median(found) for name, found in rates.items()}
