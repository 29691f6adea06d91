"""A broker that is away, silent or wrong is told plainly and within seconds."""

import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from scriptfleet import Client
from scriptfleet.config import Settings
from scriptfleet.domain.ids import new_job_id
from scriptfleet.errors import BrokerUnreachable, InvalidValue, SubmitUncertain
from scriptfleet.queues.connection import check_server
from scriptfleet.queues.drafts import of_command
from tests.integration.queues.conftest import FakeWorker

WITHIN_SECONDS = 5.0


def client_of(url: str, folder: Path) -> Client:
    return Client(settings=Settings(home=folder, redis_url=url))


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_broker_that_is_not_there_is_told_with_its_address(tmp_path: Path, closed_port: int) -> None:
    client = client_of(f"redis://:hidden@127.0.0.1:{closed_port}/0", tmp_path)
    started = time.monotonic()

    with pytest.raises(BrokerUnreachable, match=rf"127\.0\.0\.1:{closed_port}.*refused") as caught:
        client.submit_shell("true")

    assert time.monotonic() - started < WITHIN_SECONDS
    assert "hidden" not in str(caught.value)
    assert isinstance(caught.value, ConnectionError)


def test_a_submit_without_an_answer_is_uncertain_and_gives_the_id(tmp_path: Path, silent_port: int) -> None:
    client, job_id = client_of(f"redis://127.0.0.1:{silent_port}/0", tmp_path), new_job_id()
    started = time.monotonic()

    with pytest.raises(SubmitUncertain, match=job_id):
        client.submit_draft(of_command("true"), job_id)

    assert time.monotonic() - started < WITHIN_SECONDS
    client.broker.redis.close()


def test_a_script_whose_bytes_cannot_be_stored_is_not_uncertain(tmp_path: Path, silent_port: int) -> None:
    client = client_of(f"redis://127.0.0.1:{silent_port}/0", tmp_path)
    started = time.monotonic()

    with pytest.raises(BrokerUnreachable):
        client.submit_code("print(1)")

    assert time.monotonic() - started < WITHIN_SECONDS
    client.broker.redis.close()


def test_a_socket_that_is_not_there_is_told_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(BrokerUnreachable, match=r"nothing\.sock"):
        client_of(f"unix://{tmp_path}/nothing.sock", tmp_path).submit_shell("true")


def test_asking_a_broker_that_is_away_is_told_the_same_way(tmp_path: Path, closed_port: int) -> None:
    job = client_of(f"redis://127.0.0.1:{closed_port}/0", tmp_path).job("x")

    for ask in (job.state, job.result, job.cancel, lambda: list(job.logs())):
        with pytest.raises(BrokerUnreachable):
            ask()


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="--redis"):
        Client("http://example.com", settings=Settings(home=tmp_path))


def test_no_address_at_all_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="scriptfleet up"):
        Client(settings=Settings(home=tmp_path)).submit_shell("true")


def test_a_server_that_fits_tells_its_version(redis_client: redis.Redis, redis_url: str) -> None:
    assert int(check_server(redis_client, redis_url).split(".")[0]) >= 7


def test_a_server_that_forgot_the_scripts_is_taught_again(client: Client, redis_client: redis.Redis) -> None:
    client.submit_shell("true")
    redis_client.script_flush()

    assert client.submit_shell("true").state() == "queued"


def test_a_full_server_refuses_submits_and_lets_runs_end(client: Client, redis_client: redis.Redis) -> None:
    worker = FakeWorker(client.broker)
    job = client.submit_shell("true")
    redis_client.config_set("maxmemory", 1)
    try:
        with pytest.raises(BrokerUnreachable, match=r"OOM|maxmemory"):
            client.submit_shell("true")
        assert worker.finish(worker.claim(job.id))
    finally:
        redis_client.config_set("maxmemory", 0)
    assert job.state() == "succeeded"


@contextmanager
def server_that(answers: Callable[[int], bytes | None]) -> Iterator[str]:
    """A server that greets, and answers the n-th script call as told; None cuts the line instead."""
    calls = iter(range(1_000_000))

    class Talk(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while words := self._command():
                is_call, is_ping = words[0].upper() in {b"EVALSHA", b"EVAL"}, words[0].upper() == b"PING"
                answer = answers(next(calls)) if is_call else b"+PONG\r\n" if is_ping else b"+OK\r\n"
                if answer is None:
                    return
                self.wfile.write(answer)

        def _command(self) -> list[bytes]:
            count = int(self.rfile.readline()[1:] or 0)
            return [self.rfile.read(int(self.rfile.readline()[1:]) + 2)[:-2] for _ in range(count)]

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Talk) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            # Protocol 2: the greeting of the newer one has an answer of its own.
            yield f"redis://127.0.0.1:{server.server_address[1]}/0?protocol=2"
        finally:
            server.shutdown()
            thread.join()


def test_a_server_that_is_still_loading_has_done_nothing(tmp_path: Path) -> None:
    with server_that(lambda _: b"-LOADING Redis is loading the dataset in memory\r\n") as url:
        client = client_of(url, tmp_path)
        with pytest.raises(BrokerUnreachable, match="loading"):
            client.submit_shell("true")
        client.broker.redis.close()


def test_a_refusal_after_a_try_without_an_answer_stays_uncertain(tmp_path: Path) -> None:
    with server_that(lambda n: None if n == 0 else b"-OOM command not allowed\r\n") as url:
        client, job_id = client_of(url, tmp_path), new_job_id()
        with pytest.raises(SubmitUncertain, match=job_id):
            client.submit_draft(of_command("true"), job_id)
        client.broker.redis.close()


def test_a_refused_login_is_not_uncertain(client: Client, redis_client: redis.Redis, tmp_path: Path) -> None:
    redis_client.config_set("requirepass", "right")
    try:
        other = client_of(client.broker.url.replace("://", "://:wrong@"), tmp_path)
        with pytest.raises(BrokerUnreachable):
            other.submit_shell("true")
        other.broker.redis.close()
    finally:
        redis_client.config_set("requirepass", "")


def test_many_jobs_that_went_half_through_tell_what_is_there_and_what_may_not_be(tmp_path: Path) -> None:
    job_ids = [new_job_id() for _ in range(250)]

    def answer(call: int) -> bytes | None:
        if call:
            return None
        words = [word for job_id in job_ids[:100] for word in (job_id.encode(), b"new")]
        return b"*200\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)

    with server_that(answer) as url:
        client = client_of(url, tmp_path)
        with pytest.raises(SubmitUncertain, match="149 more") as caught:
            client.submit_many([of_command("true")] * 250, job_ids=job_ids)
        client.broker.redis.close()

    assert [job.id for job in caught.value.submitted] == job_ids[:100]
    assert list(caught.value.job_ids) == job_ids[100:]
