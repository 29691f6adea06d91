"""A job's handle: waiting, result and output, with a worker played by hand."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from scriptfleet import Client, State
from scriptfleet.errors import InvalidValue, WaitTimedOut
from scriptfleet.queues.client import Broker
from scriptfleet.queues.live_output import KEPT_BYTES, LiveOutput, OutputPiece
from tests.eventually import eventually
from tests.integration.queues.conftest import FakeWorker


def test_waiting_ends_as_soon_as_the_job_does(client: Client, worker: FakeWorker, broker: Broker) -> None:
    job = client.submit_shell("true")
    claim = worker.claim(job.id)
    channel = broker.keys("done", job.id)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(job.wait, 10)
        eventually(lambda: broker.redis.pubsub_numsub(channel)[0][1] == 1)
        ended_at = time.monotonic()
        worker.finish(claim)

        assert waiting.result(5) is State.SUCCEEDED
        assert time.monotonic() - ended_at < 0.5


def test_waiting_for_a_job_that_has_ended_answers_at_once(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true")
    worker.finish(worker.claim(job.id), State.FAILED)

    assert job.wait(0.01) is State.FAILED


def test_waiting_gives_up_with_the_state_it_saw(client: Client) -> None:
    job = client.submit_shell("true")

    with pytest.raises(WaitTimedOut, match=r"still queued after 0\.1 s") as caught:
        job.wait(0.1)

    assert caught.value.job_id == job.id
    assert isinstance(caught.value, TimeoutError)


def test_a_result_brings_what_the_run_cost_and_said(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true")
    worker.finish(worker.claim(job.id), State.FAILED, text="hällo\n")
    result = job.result(1)

    assert (result.outcome, result.exit_code, result.attempts) == (State.FAILED, 3, 1)
    assert (result.run_id, result.worker, result.stdout) == ("run-1", "worker-1", "hällo\n")
    assert result.to_dict()["metrics"]["exit_code"] == 3


def test_a_job_that_never_ran_has_a_result_with_the_reason(client: Client) -> None:
    job = client.submit_shell("true")
    job.cancel()
    result = job.result(1)

    assert (result.outcome, result.run_id, result.exit_code) == (State.CANCELLED, None, 130)
    assert result.reason == "cancelled before it started"
    assert result.usage.exit_code is None


def test_output_is_followed_while_it_comes_and_ends_with_the_run(
    client: Client, worker: FakeWorker, broker: Broker
) -> None:
    job = client.submit_shell("true")
    claim = worker.claim(job.id)
    seen: list[tuple[str, str]] = []
    follower = threading.Thread(target=lambda: seen.extend(job.output(follow=True)))
    follower.start()
    broker.live_output.write([("run-1", "stdout", "hä".encode()[:2]), ("run-1", "stderr", b"oops\n")])
    broker.live_output.write([("run-1", "stdout", "hä".encode()[2:])])
    broker.live_output.end("run-1", 60)
    worker.finish(claim)
    follower.join(5)

    assert not follower.is_alive()
    assert "".join(text for stream, text in seen if stream == "stdout") == "hä"
    assert "".join(text for stream, text in seen if stream == "stderr") == "oops\n"


def test_output_without_following_is_what_is_there_now(client: Client, worker: FakeWorker, broker: Broker) -> None:
    job = client.submit_shell("true")
    assert list(job.logs()) == []
    worker.claim(job.id)
    broker.live_output.write([("run-1", "stdout", b"so far")])

    assert "".join(job.logs()) == "so far"


def test_output_is_followed_over_all_attempts(client: Client, worker: FakeWorker, broker: Broker) -> None:
    job = client.submit_shell("false")
    first = worker.claim(job.id, "run-1")
    seen: list[str] = []
    follower = threading.Thread(target=lambda: seen.extend(job.logs(follow=True)))
    follower.start()
    broker.live_output.write([("run-1", "stdout", b"first ")])
    broker.live_output.end("run-1", 60)
    eventually(lambda: "first " in seen)
    worker.finish(first, State.DELAYED)
    worker.tick()
    second = worker.claim(job.id, "run-2")
    broker.live_output.write([("run-2", "stdout", b"second")])
    broker.live_output.end("run-2", 60)
    worker.finish(second)
    follower.join(5)

    assert "".join(seen) == "first second"


def test_output_whose_stream_is_gone_comes_from_the_record(client: Client, worker: FakeWorker) -> None:
    job = client.submit_shell("true")
    worker.finish(worker.claim(job.id), text="from the record")

    assert "".join(job.logs()) == "".join(job.logs(follow=True)) == "from the record"


def test_live_output_keeps_its_end_when_there_is_very_much_of_it(broker: Broker) -> None:
    for number in range(100):
        broker.live_output.write([("run-1", "stdout", b"%05d" % number * 4_000)])
    broker.live_output.end("run-1", 60)
    kept = [piece for piece in broker.live_output.follow("run-1", 1) if piece]

    assert KEPT_BYTES - 21_000 < sum(len(piece.content) for piece in kept) <= KEPT_BYTES
    assert kept[-1].content.startswith(b"00099")
    assert [piece.has_gap for piece in kept] == [True] + [False] * (len(kept) - 1)


def test_output_that_comes_line_by_line_keeps_its_beginning(client: Client, worker: FakeWorker, broker: Broker) -> None:
    job = client.submit_shell("true")
    claim = worker.claim(job.id)
    for number in range(500):
        broker.live_output.write([("run-1", "stdout", b"%d\n" % number)])
    broker.live_output.end("run-1", 60)
    worker.finish(claim)

    assert "".join(job.logs()) == "".join(f"{number}\n" for number in range(500))


def test_output_of_which_the_beginning_is_gone_says_so_first(
    client: Client, worker: FakeWorker, broker: Broker
) -> None:
    job = client.submit_shell("true")
    claim = worker.claim(job.id)
    broker.live_output.write([("run-1", "stdout", b"x" * KEPT_BYTES), ("run-1", "stdout", b"the end\n")])
    worker.finish(claim)

    assert list(job.output()) == [
        ("stderr", "[scriptfleet: earlier output is with the server]\n"),
        ("stdout", "the end\n"),
    ]


class LateOutput(LiveOutput):
    """Live output to which the last line comes after a look that found nothing, with the end of the run."""

    def follow(self, run_id: str, block_ms: int = 500) -> Iterator[OutputPiece | None]:
        yield None
        yield from super().follow(run_id, block_ms)


def test_the_last_lines_are_not_lost_when_the_run_ends_between_two_looks(
    client: Client, worker: FakeWorker, broker: Broker
) -> None:
    job = client.submit_shell("true")
    claim = worker.claim(job.id)
    # Only the order is forced: one look finds nothing, and when the next comes the run is over.
    broker.__dict__["live_output"] = LateOutput(broker.redis, broker.keys)
    broker.live_output.write([("run-1", "stdout", b"last words")])
    worker.finish(claim)
    following = job._run_output("run-1", job.facts(), follow=True)

    assert "".join(text for _, text in following) == "last words"


@pytest.mark.parametrize("timeout", [-1.0, float("nan")])
def test_a_time_that_is_none_is_refused(client: Client, timeout: float) -> None:
    with pytest.raises(InvalidValue, match="timeout"):
        client.submit_shell("true").wait(timeout)


def test_following_a_job_that_waits_long_asks_ever_more_rarely(client: Client, broker: Broker) -> None:
    job = client.submit_shell("true", not_before=time.time() + 3600)
    follower = threading.Thread(target=lambda: list(job.output(follow=True)))
    asked = _asked(broker)
    follower.start()
    eventually(lambda: _asked(broker) >= asked + 5)
    began, asked = time.monotonic(), _asked(broker)
    eventually(lambda: _asked(broker) >= asked + 1)
    job.cancel()
    follower.join(5)

    assert time.monotonic() - began > 0.4
    assert not follower.is_alive()


def _asked(broker: Broker) -> int:
    return int(broker.redis.info("commandstats").get("cmdstat_hgetall", {"calls": 0})["calls"])
