"""What submit, claim, finish, rescue and tick cost the server with a thousand and with a million jobs queued.

By the server's own command statistics; both depths are there at once, each on a server of its own, and asked in turn.
"""

import json
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.figure import BenchmarkFailed, Figure, at_most
from benchmarks.server import Server, programs, running_server
from benchmarks.server_time import script_us
from benchmarks.simulated_worker import record_of_true
from benchmarks.waiting import until
from scriptfleet.domain.ids import new_run_id
from scriptfleet.domain.state import State
from scriptfleet.queues import drafts
from scriptfleet.queues.claims import Claim, Claims, Ending, Renewal
from scriptfleet.queues.client import Client

_FEW, _QUICK_FEW = 1_000, 300
_MANY, _QUICK_MANY = 1_000_000, 1_000
_CALLS, _ROUNDS, _QUICK_ROUNDS = 100, 7, 1
_SUBMITTED_AT_ONCE = 10_000
_COMMAND, _QUEUE, _KEEP_SECONDS = "true", "default", 3600.0
#: How much dearer a step may be with many: nothing, but for what one server has in its caches and the other has not.
_TOLERANCE = 1.5


@dataclass(slots=True)
class _Depth:
    """A server with so many jobs queued, and what was measured there: microseconds of each round by step."""

    server: Server
    client: Client
    claims: Claims
    jobs: int
    bytes_a_job: float
    bytes_with_facts: float
    samples: dict[str, list[float]] = field(default_factory=dict)

    def take(self, step: str, action: Callable[[], object], count: int) -> None:
        """Keep what the action takes the server, over ``count``."""
        self.samples.setdefault(step, []).append(script_us(self.server.client, action, count))


def measure(effort: Effort) -> list[Figure]:
    """Take each server that is here, of a different make or memory allocator."""
    record = record_of_true()
    return [figure for program in programs() for figure in _on(program, effort, record)]


def _on(program: Path, effort: Effort, record: str) -> list[Figure]:
    """Fill both, then take all steps in some rounds."""
    with ExitStack() as stack:
        # What is written to disk is the same with many as with few, and a million would be gigabytes.
        few, many = (
            _filled(stack.enter_context(running_server(program, is_durable=False)), jobs)
            for jobs in (effort.of(_FEW, _QUICK_FEW), effort.of(_MANY, _QUICK_MANY))
        )
        for _ in range(effort.of(_ROUNDS, _QUICK_ROUNDS)):
            for depth in (few, many):
                _round(depth, record)
        name = many.server.name
    return [*(_figure(name, step, few, many) for step in many.samples), *_memory(name, many)]


def _figure(server: str, step: str, few: _Depth, many: _Depth) -> Figure:
    taken, beside = (statistics.median(depth.samples[step]) for depth in (many, few))
    name, peer = f"{server}: {step}, {many.jobs:,} queued", f"{few.jobs:,} queued"
    detail = {"rounds": len(many.samples[step]), "calls_a_round": _CALLS, "max_us": max(many.samples[step])}
    return Figure(name, taken, "us", at_most(_TOLERANCE * beside), peer, beside, detail)


def _memory(server: str, many: _Depth) -> list[Figure]:
    return [
        Figure(f"{server}: memory a queued job", many.bytes_a_job, "bytes", at_most(3_072), detail={"jobs": many.jobs}),
        Figure("  with the fact of its submit, while nobody has read it", many.bytes_with_facts, "bytes"),
    ]


def _filled(server: Server, jobs: int) -> _Depth:
    client = Client(settings=server.settings)
    broker = client.broker
    claims = Claims(broker.redis, broker.keys, "benchmark", _KEEP_SECONDS)
    # The scripts are there, whatever they take.
    claims.tick()
    empty = _used_bytes(server)
    for first in range(0, jobs, _SUBMITTED_AT_ONCE):
        client.submit_many([drafts.of_command(_COMMAND)] * min(_SUBMITTED_AT_ONCE, jobs - first))
    with_facts = _used_bytes(server)
    # As a results service does that has read them all.
    server.client.delete(broker.keys("events"))
    until(lambda: not server.client.info("memory")["lazyfree_pending_objects"], "the server to have freed them", 60.0)
    return _Depth(server, client, claims, jobs, (_used_bytes(server) - empty) / jobs, (with_facts - empty) / jobs)


def _used_bytes(server: Server) -> int:
    return int(server.client.info("memory")["used_memory"])


def _round(depth: _Depth, record: str) -> None:
    """Take each step once, so many calls of it; what waits in the end is what waited before."""
    client, claims = depth.client, depth.claims
    depth.take("submit", lambda: [client.submit_shell(_COMMAND) for _ in range(2 * _CALLS)], 2 * _CALLS)
    held: list[Claim] = []
    depth.take("claim by message", lambda: held.extend(_by_message(depth) for _ in range(_CALLS)), _CALLS)
    depth.take("claim without", lambda: held.extend(_without(claims) for _ in range(_CALLS)), _CALLS)
    ended, lost = held[::2], held[1::2]
    depth.take("finish", lambda: _finish(claims, ended, record), len(ended))
    # Leases that end now.
    claims.renew([Renewal(claim.job_id, claim.run_id, 0.0) for claim in lost])
    rescued: list[int] = []
    depth.take("rescue, a job", lambda: rescued.append(claims.tick().rescued), len(lost))
    if rescued != [len(lost)]:
        raise BenchmarkFailed(f"{len(lost)} runs were lost and {rescued} rescued")
    depth.take("tick with nothing to do", lambda: [claims.tick() for _ in range(_CALLS)], _CALLS)


def _by_message(depth: _Depth) -> Claim:
    message = depth.server.client.rpop(depth.client.broker.keys.celery_prefix + _QUEUE)
    if message is None:
        raise BenchmarkFailed("no message waits though jobs do")
    claim = depth.claims.claim(json.loads(message)["headers"]["id"], new_run_id())
    if isinstance(claim, str):
        raise BenchmarkFailed(f"a job whose message came could not be claimed: it is {claim}")
    return claim


def _without(claims: Claims) -> Claim:
    claim = claims.claim_next(_QUEUE, new_run_id())
    if claim is None:
        raise BenchmarkFailed("no job waits behind the window")
    return claim


def _finish(claims: Claims, ended: list[Claim], record: str) -> None:
    for claim in ended:
        claims.finish(Ending(claim.job_id, claim.run_id, record, State.SUCCEEDED))
