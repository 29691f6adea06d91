"""Whatever a script does to go on, its run ends when it should, and nothing of it is left."""

import threading
import time
from pathlib import Path

import pytest

from scriptfleet import State
from scriptfleet.domain.outcome import StopReason
from scriptfleet.execution.engine import Engine, Running
from tests.engine_bench import Bench
from tests.eventually import eventually

#: Ignores TERM and starts a daemon that does the same in a session of its own and holds the output open.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True: time.sleep(1)
    os._exit(0)
os.wait()
print('ready', flush=True)
while True: time.sleep(1)
"""
DAEMON_AND_GO = STUBBORN.replace("print('ready', flush=True)\nwhile True: time.sleep(1)", "print('done')")


def test_a_stubborn_script_with_a_daemon_is_over_soon_after_its_time(bench: Bench) -> None:
    started = time.monotonic()
    record = bench.python(STUBBORN, timeout=0.5, grace=0.3)

    assert time.monotonic() - started < 0.5 + 0.3 + 2.0
    assert (record.outcome, record.usage.error_type) == (State.TIMED_OUT, "Timeout")
    assert record.usage.error_message == "over its time limit: 0.5 s"
    assert bench.alive() == []


def test_a_script_that_obeys_ends_without_the_grace(bench: Bench) -> None:
    started = time.monotonic()
    record = bench.shell("exec sleep 60", timeout=0.3, grace=30)

    assert time.monotonic() - started < 3
    assert record.outcome is State.TIMED_OUT
    assert 0.3 <= (record.usage.execution_time_seconds or 0) < 1.0


def test_a_script_may_clean_up_within_the_grace(bench: Bench) -> None:
    record = bench.shell("trap 'echo cleaned; exit 5' TERM; sleep 60 & wait", timeout=0.5, grace=10)

    assert (record.outcome, record.usage.exit_code) == (State.TIMED_OUT, 5)
    assert record.stdout.text == "cleaned\n"


def test_a_stopped_process_ends_too(bench: Bench) -> None:
    assert bench.shell("kill -STOP $$", timeout=0.3, grace=0.2).outcome is State.TIMED_OUT


def test_orphans_that_hold_the_output_do_not_delay_the_end(bench: Bench) -> None:
    record = bench.python(DAEMON_AND_GO, grace=60)

    assert record.outcome is State.SUCCEEDED
    assert record.stdout.text == "done\n"
    assert (record.usage.execution_time_seconds or 9) < 1.5
    assert bench.alive() == []


def test_a_fork_bomb_is_gone_with_its_run(bench: Bench) -> None:
    bomb = "import os\nfor _ in range(6): os.fork()\nos.setsid() if os.getpid() != os.getpgid(0) else 0\n"
    record = bench.python(bomb + "import time\nwhile True: time.sleep(1)", timeout=1, grace=0.1)

    assert record.outcome is State.TIMED_OUT
    assert bench.alive() == []


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (StopReason.CANCELLED, State.CANCELLED),
        (StopReason.SHUTDOWN, State.LOST),
    ],
)
def test_a_run_that_is_told_to_stop_says_who_stopped_it(bench: Bench, reason: StopReason, outcome: State) -> None:
    record = bench.python("import time; time.sleep(60)", on_start=lambda running: running.stop(reason))

    assert record.outcome is outcome


def test_the_first_reason_to_stop_stands(bench: Bench) -> None:
    def stop_twice(running: Running) -> None:
        running.stop(StopReason.CANCELLED)
        running.stop(StopReason.SHUTDOWN)

    assert bench.python("import time; time.sleep(60)", on_start=stop_twice).outcome is State.CANCELLED


def test_an_order_to_a_run_that_is_over_does_not_reach_the_next_one(bench: Bench) -> None:
    kept: list[Running] = []
    bench.python("pass", on_start=kept.append)

    def late_order(running: Running) -> None:
        assert running.shim_pid == kept[0].shim_pid
        kept[0].stop(StopReason.CANCELLED)
        kept[0].extend_lease(time.monotonic())

    assert bench.python("import time; time.sleep(0.3)", on_start=late_order).outcome is State.SUCCEEDED


def test_a_lease_that_is_not_renewed_ends_the_run(bench: Bench) -> None:
    started = time.monotonic()
    record = bench.python(STUBBORN, lease_until=started + 0.5, grace=60)

    assert 0.5 <= time.monotonic() - started < 2.5
    assert (record.outcome, record.usage.error_type) == (State.LOST, "WorkerLost")


def test_a_run_whose_lease_is_over_before_it_could_start_does_nothing(bench: Bench, tmp_path: Path) -> None:
    """Its job may run elsewhere already: not even its first line is to run twice."""
    record = bench.shell(f"echo twice > {tmp_path}/mark", lease_until=time.monotonic() - 1)

    assert (record.outcome, record.usage.error_type) == (State.LOST, "WorkerLost")
    assert not (tmp_path / "mark").exists()
    assert bench.shell("true").outcome is State.SUCCEEDED


def test_a_run_that_was_told_to_end_has_no_longer_than_its_lease_either(bench: Bench) -> None:
    """With its worker cut off the job starts elsewhere once the lease ends, whatever patience it was promised."""
    started = time.monotonic()

    def stop(running: Running) -> None:
        running.stop(StopReason.CANCELLED, 60)

    record = bench.python(STUBBORN, lease_until=started + 1.0, grace=60, on_start=stop)

    assert time.monotonic() - started < 5
    assert record.outcome is State.CANCELLED
    assert bench.alive() == []


def test_a_lease_that_is_renewed_lets_the_run_go_on(bench: Bench) -> None:
    def renew(running: Running) -> None:
        running.extend_lease(time.monotonic() + 60)

    record = bench.python("import time; time.sleep(0.6)", lease_until=time.monotonic() + 0.3, on_start=renew)

    assert record.outcome is State.SUCCEEDED


def test_closing_the_engine_ends_what_runs_on_it(tmp_path: Path) -> None:
    engine = Engine()
    bench, started = Bench(engine, tmp_path), threading.Event()
    records = []

    def run() -> None:
        records.append(bench.python(STUBBORN, on_start=lambda _: started.set()))

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    engine.close()
    thread.join(10)

    assert not thread.is_alive()
    assert [(record.outcome, record.usage.error_type) for record in records] == [(State.FAILED, "SupervisorKilled")]
    eventually(lambda: bench.alive() == [])
