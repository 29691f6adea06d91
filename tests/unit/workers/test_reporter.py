"""Reports over a real server: what it has is not sent again, and what it cannot hold is left out."""

import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from scriptfleet.config import load_settings
from scriptfleet.domain.state import State
from scriptfleet.execution.plain_file import open_plain
from scriptfleet.queues.claims import Claim, Claims
from scriptfleet.queues.client import Client
from scriptfleet.queues.drafts import of_command
from scriptfleet.queues.events import OUTPUT_PIECE_BYTES, OutputPublisher
from scriptfleet_workers.kept_output import Pieces
from scriptfleet_workers.report import Report
from scriptfleet_workers.reporter import Reporter
from scriptfleet_workers.spool import Spool
from scriptfleet_workers.turn import Turn
from tests.broker_server import BrokerServer


@pytest.fixture
def broker() -> Iterator[BrokerServer]:
    server = BrokerServer()
    server.start()
    yield server
    server.remove()


class Parts:
    """A reporter and what it stands on."""

    def __init__(self, url: str, folder: Path) -> None:
        namespace = f"t{uuid.uuid4().hex[:8]}"
        environment = {
            "SCRIPTFLEET_REDIS_URL": url,
            "SCRIPTFLEET_NAMESPACE": namespace,
            "SCRIPTFLEET_HOME": str(folder),
        }
        self.client = Client(settings=load_settings(environment))
        broker = self.client.broker
        self.redis, self.keys = broker.redis, broker.keys
        self.claims = Claims(broker.redis, broker.keys, "w1", 3600)
        self.spool = Spool(folder / "spool")
        self.stopping = threading.Event()
        output = OutputPublisher(broker.redis, broker.keys)
        self.reporter = Reporter(self.claims, output, partial(broker.blobs.keep, seconds=60), self.spool, self.stopping)

    def claimed(self) -> Report:
        job = self.client.submit_shell("true")
        claim = self.claims.claim(job.id, uuid.uuid4().hex)
        assert isinstance(claim, Claim)
        return Report(claim, '{"run_id":"x"}', State.SUCCEEDED, 0.0, is_loss=False)

    def state(self, report: Report) -> str:
        return (self.redis.hget(self.keys("job", report.job_id), "state") or b"gone").decode()

    def facts(self, kind: str) -> list[dict[bytes, bytes]]:
        return [fields for _, fields in self.redis.xrange(self.keys("events")) if fields[b"t"] == kind.encode()]


def run_folder(tmp_path: Path, stdout: bytes) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "stdout").write_bytes(stdout)
    return folder


def test_a_full_server_gets_the_outcome_at_once_and_the_output_later(broker: BrokerServer, tmp_path: Path) -> None:
    parts = Parts(broker.url, tmp_path)
    report = parts.claimed()
    parts.redis.config_set("maxmemory", 1)

    parts.reporter.report(report, run_folder(tmp_path, b"much"), Turn())

    assert parts.state(report) == "succeeded"
    assert (len(parts.facts("output")), len(parts.facts("finished"))) == (0, 1)
    parts.reporter.send_spooled()
    assert parts.facts("output") == []
    parts.redis.config_set("maxmemory", 0)
    parts.reporter.send_spooled()
    assert (len(parts.facts("output")), len(parts.facts("finished"))) == (1, 1)
    parts.reporter.send_spooled()
    assert len(parts.facts("output")) == 1


def test_reading_goes_on_at_the_piece_that_failed(tmp_path: Path) -> None:
    (tmp_path / "stdout").write_bytes(b"aabbc")
    pieces = Pieces(tmp_path / "stdout", 2)

    reading = pieces.rest()
    assert [next(reading), next(reading)] == [b"aa", b"bb"]
    # The second one was given and not taken: its sending failed.
    reading.close()

    assert pieces.done == 1
    assert list(pieces.rest()) == [b"bb", b"c"]


def test_pieces_are_numbered_through(redis_url: str, tmp_path: Path) -> None:
    parts = Parts(redis_url, tmp_path)
    parts.reporter.report(parts.claimed(), run_folder(tmp_path, os.urandom(OUTPUT_PIECE_BYTES + 1)), Turn())

    assert [b'"number": %d' % number in fact[b"d"] for number, fact in enumerate(parts.facts("output"))] == [True] * 2


@pytest.mark.parametrize("put", [os.mkfifo, lambda path: Path(path).symlink_to("/dev/zero"), os.mkdir])
def test_what_a_script_put_in_place_of_its_output_is_not_read(put: object, redis_url: str, tmp_path: Path) -> None:
    parts = Parts(redis_url, tmp_path)
    report, folder = parts.claimed(), tmp_path / "run"
    folder.mkdir()
    put(folder / "stdout")  # type: ignore[operator]

    with pytest.raises(OSError, match=r"plain file|symbolic links"):
        open_plain(folder / "stdout")
    parts.reporter.report(report, folder, Turn())

    assert parts.state(report) == "succeeded"
    assert parts.facts("output") == []


def test_a_late_report_of_a_forgotten_job_does_not_bring_it_back(redis_url: str, tmp_path: Path) -> None:
    parts = Parts(redis_url, tmp_path)
    report = parts.claimed()
    parts.spool.keep(report, run_folder(tmp_path, b"out"))
    parts.redis.delete(parts.keys("job", report.job_id))

    parts.reporter.send_spooled()

    assert parts.state(report) == "gone"
    assert [b'"stale":true' in fact[b"d"] for fact in parts.facts("finished")] == [True]
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["failed"]


def test_a_report_that_the_server_refuses_is_set_aside_and_the_next_one_sent(redis_url: str, tmp_path: Path) -> None:
    parts = Parts(redis_url, tmp_path)
    bad, good = parts.claimed(), parts.claimed()
    for number, report in enumerate((bad, good)):
        folder = tmp_path / str(number)
        folder.mkdir()
        parts.spool.keep(report, folder)
    parts.redis.delete(parts.keys("job", bad.job_id))
    parts.redis.set(parts.keys("job", bad.job_id), "no hash")

    parts.reporter.send_spooled()

    assert parts.state(good) == "succeeded"
    assert [path.name for path in (tmp_path / "spool" / "failed").iterdir()] == [bad.run_id]


def test_a_job_that_was_claimed_along_is_there_also_when_the_report_breaks_off(
    broker: BrokerServer, tmp_path: Path
) -> None:
    parts, turn = Parts(broker.url, tmp_path), Turn(lambda: True)
    report = parts.claimed()
    # More than stand in the window: those behind it are claimed without a message.
    waiting = {job.id for job in parts.client.submit_many([of_command("true")] * 30)}
    parts.redis.config_set("maxmemory", 1)
    shutil.rmtree(tmp_path / "spool")
    (tmp_path / "spool").write_text("no folder")

    with pytest.raises(OSError, match="spool"):
        parts.reporter.report(report, run_folder(tmp_path, b"much"), turn)

    assert parts.state(report) == "succeeded"
    onward = turn.give()
    assert onward is not None
    assert onward.claim.job_id in waiting
    assert turn.give() is None
