"""Whatever is asked of the broker in whatever order, a job moves only as drawn, and stands where it should."""

import itertools
import time
from collections import Counter
from typing import Any

import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from scriptfleet import Client, State
from scriptfleet.config import Settings
from scriptfleet.domain.state import FINAL, can_move
from scriptfleet.queues.claims import LOSSES_ALLOWED, Claim, Ending, Finish, Renewal
from scriptfleet.queues.events import EventReader
from scriptfleet.queues.fleet import Presence, SignOfLife
from scriptfleet.queues.queue_control import QueueControl
from tests.integration.queues.conftest import FakeWorker, record
from tests.integration.queues.lane_books import LaneBooks
from tests.integration.queues.test_claims import forget_claim

FAR_AHEAD = 3_600.0
QUEUES = ("default", "gpu")
#: Of key k so many run at once, and of key r so many start while the test goes on.
LIMIT, STARTS = 2, 3
#: Groups that jobs are in, and the queue that one goes to after out of memory.
GROUPS = ("a", "b")
BIG = "big"
_KEY = {"concurrency_key": "k", "concurrency_limit": LIMIT}
_RATE = {"rate_key": "r", "rate_limit": f"{STARTS}/1h"}
_GPU = {"requires": {"gpu": "a100"}, "needs_memory_mb": 100.0}
_WISHES: dict[str, dict[str, Any]] = {
    **{"nothing": {}, "a key": _KEY, "a rate": _RATE, "both": _KEY | _RATE},
    **{"a place": _GPU, "a place and a key": _GPU | _KEY},
}
DEAD = {State.FAILED, State.TIMED_OUT, State.OUT_OF_MEMORY, State.LOST, State.REJECTED}


class Model:
    """What should be true of one job."""

    def __init__(self, state: State, asked: dict[str, Any], origin: str | None = None) -> None:
        self.state, self.asked, self.group = state, asked, asked["group"]
        #: The job it was made from.
        self.origin = origin
        #: After out of memory: how many attempts were, and whether it is in the other queue since.
        self.out_of_memory, self.is_in_big = 0, False
        #: Whether somebody replayed it, or took it off the list of the dead.
        self.is_off_list = False
        #: Whether a delayed job is due.
        self.is_due = False
        self.claim: Claim | None = None
        self.is_cancel_asked = False
        self.attempt = self.losses = 0
        #: Whether the server lost a claim of it: its revisions then go on from the clock.
        self.was_forgotten = False

    @property
    def queue(self) -> str:
        return BIG if self.is_in_big else str(self.asked["queue"])

    def move(self, there: State) -> None:
        assert can_move(self.state, there), f"{self.state} to {there}"
        self.state = there
        if there is not State.RUNNING:
            self.claim = None


class JobMachine(RuleBasedStateMachine):
    """Asks a real server for all that producers and workers ask, in any order."""

    jobs: Bundle[str] = Bundle("jobs")
    runs: Bundle[Claim] = Bundle("runs")
    client: Client

    @initialize()
    def begin(self) -> None:
        self.client.broker.redis.flushall()
        self.worker = FakeWorker(self.client.broker)
        self.models: dict[str, Model] = {}
        self.numbers = itertools.count()
        self.paused: set[str] = set()
        self.starts_of_rate = 0
        self.say_that_a_worker_lives(True)

    @rule(has_gpu=st.booleans())
    def say_that_a_worker_lives(self, has_gpu: bool) -> None:
        labels = {"gpu": "a100"} if has_gpu else {}
        sign = SignOfLife("h", 2, 0, [*QUEUES, BIG], "0.1", labels=labels, memory_free_mb=250.0)
        Presence(self.client.broker.redis, self.client.broker.keys, "worker-1").tell(sign)
        self.tick()

    @rule(
        target=jobs,
        is_ahead=st.booleans(),
        priority=st.integers(0, 9),
        queue=st.sampled_from(QUEUES),
        group=st.sampled_from([None, *GROUPS]),
        wishes=st.sampled_from(sorted(_WISHES)),
    )
    def submit(self, is_ahead: bool, priority: int, queue: str, group: str | None, wishes: str) -> str:
        due = time.time() + FAR_AHEAD if is_ahead else None
        asked = _WISHES[wishes] | {"queue": queue, "group": group}
        job = self.client.submit_shell("true", not_before=due, priority=priority, **asked)
        self.models[job.id] = Model(State.DELAYED if is_ahead else State.QUEUED, asked)
        return job.id

    @rule(queue=st.sampled_from(QUEUES))
    def pause(self, queue: str) -> None:
        assert QueueControl(self.client.broker, queue).pause() is (queue not in self.paused)
        self.paused.add(queue)

    @rule(queue=st.sampled_from(QUEUES))
    def resume(self, queue: str) -> None:
        assert QueueControl(self.client.broker, queue).resume() is (queue in self.paused)
        self.paused.discard(queue)

    @rule(queue=st.sampled_from(QUEUES))
    def purge(self, queue: str) -> None:
        waiting = [model for model in self.models.values() if model.state in {State.QUEUED, State.DELAYED}]
        doomed = [model for model in waiting if model.queue == queue]
        assert QueueControl(self.client.broker, queue).purge(most=1_000) == len(doomed)
        for model in doomed:
            model.move(State.CANCELLED)

    @rule()
    def lose_all_workers_for_a_while(self) -> None:
        Presence(self.client.broker.redis, self.client.broker.keys, "worker-1").leave()
        self.tick()
        LaneBooks(self.client.broker).check()
        self.say_that_a_worker_lives(True)

    @rule(target=jobs, job_id=jobs)
    def rerun(self, job_id: str) -> str:
        job = self.client.rerun(job_id)
        self.models[job.id] = Model(State.QUEUED, self.models[job_id].asked, origin=job_id)
        return job.id

    @rule(target=jobs)
    def replay(self) -> object:
        dead = self.client.dead.ids()
        if not dead:
            return multiple()
        job = self.client.dead.replay(dead[0])
        self.models[dead[0]].is_off_list = True
        self.models[job.id] = Model(State.QUEUED, self.models[dead[0]].asked, origin=dead[0])
        return job.id

    @rule(target=runs, job_id=jobs)
    def claim(self, job_id: str) -> object:
        model, run_id = self.models[job_id], f"run-{next(self.numbers)}"
        answer = self.worker.claims.claim(job_id, run_id)
        if model.state is not State.QUEUED:
            assert answer == model.state
            return Claim(job_id, run_id, "", 0, "", "", "", "", "", 0, 0.0, 0.0)
        if model.queue in self.paused:
            assert answer == "paused"
            return multiple()
        if answer == "waits":
            assert model.asked.keys() & {"rate_key", "concurrency_key", "requires"}
            return multiple()
        assert isinstance(answer, Claim)
        self._started(model, answer)
        return answer

    def _started(self, model: Model, claim: Claim) -> None:
        model.move(State.RUNNING)
        model.claim, model.attempt = claim, model.attempt + 1
        self.starts_of_rate += "rate_key" in model.asked
        assert (claim.attempt, claim.out_of_memory) == (model.attempt, model.out_of_memory)
        assert model.queue not in self.paused

    @rule(target=runs, queue=st.sampled_from(QUEUES))
    def claim_next(self, queue: str) -> object:
        run_id = f"run-{next(self.numbers)}"
        # So small that most jobs wait behind it.
        self.client.broker.redis.set(self.client.broker.keys("window", queue), 1)
        return self._taken(queue, self.worker.claims.claim_next(queue, run_id))

    def _taken(self, queue: str, answer: Claim | None) -> object:
        if answer is None:
            return multiple()
        model = self.models[answer.job_id]
        assert (model.state, answer.queue) == (State.QUEUED, queue)
        self._started(model, answer)
        return answer

    @rule(run=runs)
    def renew(self, run: Claim) -> None:
        model = self.models[run.job_id]
        held = "cancel" if model.is_cancel_asked else "kept"
        if not run.queue:
            # It never held the job, so nobody would renew it.
            return
        answer = self.worker.claims.renew([Renewal(run.job_id, run.run_id, 15.0)])
        assert answer == {run.run_id: held if model.claim == run else "lost"}

    @rule(run=runs)
    def lose_the_last_second_and_renew(self, run: Claim) -> None:
        model = self.models[run.job_id]
        if model.claim != run or model.is_cancel_asked:
            return
        forget_claim(self.client.broker, run)
        assert self.worker.claims.renew([Renewal(run.job_id, run.run_id, 15.0)]) == {run.run_id: "kept"}
        model.was_forgotten = True

    @rule(run=runs, there=st.sampled_from([State.SUCCEEDED, State.FAILED]))
    def lose_the_last_second_and_finish(self, run: Claim, there: State) -> None:
        model = self.models[run.job_id]
        if model.claim != run or model.is_cancel_asked:
            return
        forget_claim(self.client.broker, run)
        assert self.worker.finish(run, there)
        model.move(there)
        model.was_forgotten = True

    @rule(
        run=runs,
        there=st.sampled_from([State.SUCCEEDED, State.FAILED, State.TIMED_OUT, State.QUEUED, State.DELAYED]),
        is_due=st.booleans(),
    )
    def finish(self, run: Claim, there: State, is_due: bool) -> None:
        model = self.models[run.job_id]
        holds = model.claim == run
        assert self.worker.finish(run, there, delay=0.0 if is_due else FAR_AHEAD) or not holds
        if holds:
            self._finished(model, there, is_due)

    @rule(
        target=runs,
        run=runs,
        there=st.sampled_from([State.SUCCEEDED, State.FAILED, State.QUEUED, State.DELAYED]),
        queue=st.sampled_from(QUEUES),
    )
    def finish_and_claim_next(self, run: Claim, there: State, queue: str) -> object:
        model, ending = self.models[run.job_id], Ending(run.job_id, run.run_id, record(run, there), there, FAR_AHEAD)
        holds = model.claim == run
        ended, taken = self.worker.claims.finish_and_claim(ending, queue, f"run-{next(self.numbers)}")
        assert ended is Finish.DONE or not holds
        if holds:
            self._finished(model, there, is_due=False)
        return self._taken(queue, taken)

    def _finished(self, model: Model, there: State, is_due: bool) -> None:
        stays_live = there not in FINAL
        model.move(State.CANCELLED if stays_live and model.is_cancel_asked else there)
        model.is_due = is_due
        if there is State.QUEUED and model.state is State.QUEUED:
            model.attempt -= 1

    @rule(run=runs, is_due=st.booleans())
    def run_out_of_memory(self, run: Claim, is_due: bool) -> None:
        model = self.models[run.job_id]
        text, delay = record(run, State.OUT_OF_MEMORY), 0.0 if is_due else FAR_AHEAD
        told = Ending(run.job_id, run.run_id, text, State.DELAYED, delay, queue=BIG, is_out_of_memory=True)
        self.worker.claims.finish(told)
        if model.claim != run:
            return
        model.move(State.CANCELLED if model.is_cancel_asked else State.DELAYED)
        model.is_due = is_due
        if model.state is State.DELAYED:
            model.is_in_big, model.out_of_memory = True, model.out_of_memory + 1

    @rule(group=st.sampled_from(GROUPS))
    def cancel_group(self, group: str) -> None:
        living = [model for model in self.models.values() if model.group == group and not model.state.is_final]
        states = Counter(str(model.state) for model in living)
        assert self.client.cancel(group=group) == states
        for model in living:
            self._note_cancel(model)

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        model = self.models[job_id]
        assert self.client.job(job_id).cancel() is not model.state.is_final
        self._note_cancel(model)

    def _note_cancel(self, model: Model) -> None:
        if model.state is State.RUNNING:
            model.is_cancel_asked = True
        elif not model.state.is_final:
            model.move(State.CANCELLED)

    @rule(run=runs)
    def lose(self, run: Claim) -> None:
        model = self.models[run.job_id]
        if model.claim != run:
            return
        self.worker.lose(run)
        self.tick()
        if model.is_cancel_asked:
            model.move(State.CANCELLED)
            return
        model.losses += 1
        if model.losses > LOSSES_ALLOWED:
            model.move(State.LOST)
        else:
            model.move(State.QUEUED)
            model.attempt -= 1

    @rule()
    def tick(self) -> None:
        self.worker.tick()
        for model in self.models.values():
            if model.state is State.DELAYED and model.is_due:
                model.move(State.QUEUED)

    @invariant()
    def every_job_is_in_the_state_of_the_model(self) -> None:
        for job_id, model in self.models.items():
            facts = self.client.job(job_id).facts()
            assert (facts["state"], facts["attempt"], facts["losses"]) == (model.state, model.attempt, model.losses)

    @invariant()
    def no_limit_is_ever_broken(self) -> None:
        running = [model for model in self.models.values() if model.state is State.RUNNING]
        assert sum("concurrency_key" in model.asked for model in running) <= LIMIT
        assert self.starts_of_rate <= STARTS

    @invariant()
    def the_books_of_all_lanes_agree(self) -> None:
        LaneBooks(self.client.broker).check()

    @invariant()
    def every_job_stands_in_exactly_the_places_of_its_state(self) -> None:
        for job_id, model in self.models.items():
            assert self._places(job_id) == _PLACES.get(model.state, [])

    @invariant()
    def living_jobs_are_found_by_their_group_and_ended_ones_are_not(self) -> None:
        for group in GROUPS if hasattr(self, "models") else ():
            found = self.client.broker.redis.smembers(self.client.broker.keys("marked", f"group:{group}"))
            living = {one for one, model in self.models.items() if model.group == group and not model.state.is_final}
            assert {job_id.decode() for job_id in found} == living

    @invariant()
    def exactly_the_jobs_that_ended_badly_are_listed_as_dead(self) -> None:
        models = getattr(self, "models", {})
        dead = {one for one, model in models.items() if model.state in DEAD and not model.is_off_list}
        assert set(self.client.dead.ids()) == dead

    @invariant()
    def a_job_says_where_it_came_from_and_where_it_went(self) -> None:
        for job_id, model in getattr(self, "models", {}).items():
            facts = self.client.job(job_id).facts()
            assert (facts["rerun_of"], facts["queue"] == BIG) == (model.origin, model.is_in_big)

    def _places(self, job_id: str) -> list[str]:
        server, keys = self.client.broker.redis, self.client.broker.keys
        queue, lane = self.models[job_id].queue, server.hget(keys("job", job_id), "lane")
        in_line = keys("ready", queue, lane.decode()) if lane else keys("ready", queue)
        found = ["waiting" for place in (in_line, keys("admitted", queue)) if server.zscore(place, job_id) is not None]
        found += [name for name in ("delayed", "leases") if server.zscore(keys(name), job_id) is not None]
        return found + (["running"] if server.sismember(keys("running", queue), job_id) else [])

    def teardown(self) -> None:
        """The facts told of each job make the same story, without a gap."""
        reader = EventReader(self.client.broker.redis, self.client.broker.keys, "machine")
        told: dict[str, list[int]] = {}
        while events := reader.read(count=5_000, block_ms=1):
            for event in events:
                told.setdefault(event.job_id, []).extend([event.revision] if event.revision else [])
        for job_id, model in getattr(self, "models", {}).items():
            if model.was_forgotten:
                assert told[job_id] == sorted(told[job_id])
                continue
            assert told[job_id] == list(range(1, len(told[job_id]) + 1))


_PLACES: dict[State, list[str]] = {
    State.QUEUED: ["waiting"],
    State.DELAYED: ["delayed"],
    State.RUNNING: ["leases", "running"],
}


def test_a_job_moves_only_as_drawn_whatever_is_asked(redis_client: redis.Redis, redis_url: str, tmp_path: Any) -> None:
    class OnThisServer(JobMachine):
        client = Client(settings=Settings(home=tmp_path, redis_url=redis_url))

    run_state_machine_as_test(
        OnThisServer,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    OnThisServer.client.broker.redis.close()
