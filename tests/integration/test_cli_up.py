"""`scriptfleet up` and the verbs against the fleet it starts: every part is real."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from tests.command import EXAMPLES, ROOT, environment, one_line, scriptfleet, start
from tests.eventually import eventually


class Up:
    """A fleet in a home of its own."""

    started: ClassVar[list["Up"]] = []

    def __init__(self, home: Path, *words: str) -> None:
        self.home = home
        self._screen = home.parent / f"{home.name}.screen"
        command = [sys.executable, "-m", "scriptfleet", "up", *words]
        with self._screen.open("w") as screen:
            self.process = subprocess.Popen(
                command, env=environment(home), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=screen, stderr=screen
            )
        self.started.append(self)

    def wait_until_up(self) -> None:
        eventually(lambda: (self.home / "fleet.json").exists() or self._is_dead(), within=60)

    def _is_dead(self) -> bool:
        assert self.process.poll() is None, self.screen()
        return False

    def screen(self) -> str:
        return self._screen.read_text()

    def everything(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, signum: signal.Signals = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signum)
        try:
            return self.process.wait(40)
        finally:
            self.process.kill()


@pytest.fixture(scope="module", autouse=True)
def ended() -> Iterator[None]:
    """End the fleets of tests that failed before they did."""
    yield
    for up in Up.started:
        up.end()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up(tmp_path_factory.mktemp("up") / "home", "--concurrency", "3")
    up.wait_until_up()
    try:
        yield up
    finally:
        assert up.end() == 0, up.screen()


def submit(fleet: Up, *words: str) -> str:
    result = scriptfleet("submit", *words, home=fleet.home)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_a_second_fleet_in_the_same_home_is_refused(fleet: Up) -> None:
    result = scriptfleet("up", home=fleet.home)

    assert result.returncode == 125
    assert f"process {fleet.process.pid}" in one_line(result)


def test_nobody_else_may_read_where_the_broker_is(fleet: Up) -> None:
    said = json.loads((fleet.home / "fleet.json").read_text())

    assert (fleet.home / "fleet.json").stat().st_mode & 0o777 == 0o600
    assert said["redis_url"].startswith("unix://")
    assert said["pid"] == fleet.process.pid


def test_submit_wait_shows_the_output_and_answers_with_the_exit_code(fleet: Up) -> None:
    result = scriptfleet("submit", "--wait", str(EXAMPLES / "fails.py"), home=fleet.home)

    assert result.returncode == 1
    assert result.stdout == "order 17\n  19.90 EUR\norder 18\n"
    assert "fails.py: failed · exit 1" in result.stderr
    assert "ValueError: could not convert" in result.stderr


def test_awkward_arguments_arrive_on_the_fleet_untouched(fleet: Up, tmp_path: Path) -> None:
    awkward = ["a b", 'q"q', "it's", "two\nlines", "--wait", "--", "", "ü", "$HOME"]
    script = tmp_path / "echo.py"
    script.write_text("import json, sys\nprint(json.dumps(sys.argv[1:]))\n")

    result = scriptfleet("submit", "--wait", str(script), *awkward, home=fleet.home)

    assert json.loads(result.stdout) == awkward


def test_a_folder_travels_with_its_data(fleet: Up) -> None:
    result = scriptfleet("submit", "--wait", str(EXAMPLES / "sales_report"), home=fleet.home)

    assert "total       2,335 units    38,304.10 EUR" in result.stdout


def test_wait_gives_the_exit_code_and_the_whole_result_as_json(fleet: Up) -> None:
    job = submit(fleet, "--shell", "echo done; exit 5")

    result = scriptfleet("wait", "--json", job, home=fleet.home)

    said = json.loads(result.stdout)
    assert (result.returncode, said["outcome"], said["stdout"]) == (5, "failed", "done\n")


def test_wait_gives_up_after_its_time_and_the_job_goes_on(fleet: Up) -> None:
    job = submit(fleet, str(EXAMPLES / "sleeps.py"), "30")

    result = scriptfleet("wait", "--timeout", "0.3s", job, home=fleet.home)
    ended = scriptfleet("cancel", job, home=fleet.home)
    waited = scriptfleet("wait", job, home=fleet.home)

    assert result.returncode == 125
    assert "is still" in one_line(result)
    assert ended.returncode == 0
    assert waited.returncode == 130


def test_logs_follow_a_running_job_to_its_end(fleet: Up) -> None:
    job = submit(fleet, str(EXAMPLES / "sleeps.py"), "2")

    result = scriptfleet("logs", "-f", job, home=fleet.home)

    assert result.stdout == "2 s to go\n1 s to go\n"


def test_logs_of_an_ended_job_are_whole_however_long(fleet: Up) -> None:
    job = submit(fleet, "--shell", "seq 1 300000; echo end >&2")
    scriptfleet("wait", job, home=fleet.home)

    def is_whole() -> None:
        result = scriptfleet("logs", job, home=fleet.home)
        assert result.stdout.splitlines() == [str(number) for number in range(1, 300_001)]
        assert result.stderr == "end\n"

    eventually(is_whole)


def test_ps_and_status_tell_of_a_job_by_the_beginning_of_its_id(fleet: Up) -> None:
    job = submit(fleet, "--name", "seen", "--queue", "default", "--label", "a=b", "--shell", "true")
    scriptfleet("wait", job, home=fleet.home)

    def is_listed() -> None:
        listed = json.loads(
            scriptfleet("ps", "--json", "--name", "seen", "--state", "succeeded", home=fleet.home).stdout
        )
        assert [row["job_id"] for row in listed] == [job]
        assert listed[0]["wall_seconds"] > 0

    eventually(is_listed)
    table = scriptfleet("ps", "--limit", "500", home=fleet.home).stdout
    status = scriptfleet("status", job[:8], home=fleet.home).stdout
    assert job[:8] in table
    assert re.search(rf"^{job[:8]} +succeeded +[0-9]+[smh] +seen ", table, re.MULTILINE)
    assert max(len(line) for line in table.splitlines()) <= 80
    assert re.search(rf"^job +{job}$", status, re.MULTILINE)
    assert re.search(r"^state +succeeded$", status, re.MULTILINE)


def test_status_shows_the_worker_and_the_queue(fleet: Up) -> None:
    shown = json.loads(scriptfleet("status", "--json", home=fleet.home).stdout)

    assert [worker["slots"] for worker in shown["workers"]] == [3]
    assert "default" in shown["queues"]


def test_jobs_are_listed_from_the_broker_where_the_database_is_not_reached(fleet: Up, tmp_path: Path) -> None:
    redis_url = json.loads((fleet.home / "fleet.json").read_text())["redis_url"]
    job = submit(fleet, "--queue", "nobody", "--shell", "true")

    result = scriptfleet("ps", "--json", "--redis", redis_url, "--queue", "nobody", home=tmp_path)

    assert [row["job_id"] for row in json.loads(result.stdout)] == [job]
    assert "no usable database" in result.stderr
    assert scriptfleet("cancel", job, home=fleet.home).returncode == 0


def test_submitting_with_the_same_key_gives_the_same_job(fleet: Up) -> None:
    first = submit(fleet, "--idempotency-key", "once", "--shell", "true")

    again = submit(fleet, "--idempotency-key", "once", "--shell", "true")
    other = scriptfleet("submit", "--idempotency-key", "once", "--shell", "false", home=fleet.home)

    assert again == first
    assert other.returncode == 125
    assert first in one_line(other)


def test_doctor_finds_nothing_that_fails(fleet: Up) -> None:
    result = scriptfleet("doctor", "--json", home=fleet.home)

    assert result.returncode == 0, result.stdout
    levels = {finding["what"]: finding["level"] for finding in json.loads(result.stdout)}
    assert {levels[name] for name in ("broker", "eviction", "persistence", "workers", "database")} == {"ok"}


def test_an_interrupted_submit_wait_lets_the_job_go_on(fleet: Up) -> None:
    process = start("submit", "--wait", str(EXAMPLES / "sleeps.py"), "20", home=fleet.home)
    assert process.stdout is not None
    process.stdout.readline()

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    job = err.split()[1]
    assert process.returncode == 130
    assert f"job {job} goes on" in err
    assert json.loads(scriptfleet("status", "--json", job, home=fleet.home).stdout)["state"] == "running"
    scriptfleet("cancel", job, home=fleet.home)


def test_an_interrupted_logs_says_that_the_job_goes_on(fleet: Up) -> None:
    job = submit(fleet, str(EXAMPLES / "sleeps.py"), "20")
    process = start("logs", "-f", "--json", job, home=fleet.home)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline()) == {"stream": "stdout", "text": "20 s to go\n"}

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert err == f"job {job} goes on: `scriptfleet cancel {job}` ends it\n"
    scriptfleet("cancel", job, home=fleet.home)


def test_logs_of_a_running_job_fail_where_the_broker_does_not_answer(fleet: Up) -> None:
    job = submit(fleet, str(EXAMPLES / "sleeps.py"), "20")
    eventually(lambda: scriptfleet("logs", job, home=fleet.home).stdout)

    seen = scriptfleet("logs", job, "--redis", "redis://127.0.0.1:1/0", home=fleet.home)

    assert seen.returncode == 125
    assert "no broker answers" in seen.stderr
    assert "no broker at redis://127.0.0.1:1/0" in seen.stderr
    scriptfleet("cancel", job, home=fleet.home)


def test_a_server_that_dies_is_started_again_where_it_was(fleet: Up) -> None:
    address = json.loads((fleet.home / "fleet.json").read_text())["server_url"].removeprefix("http://")
    first = next(iter(servers(fleet)))

    first.kill()

    def is_back() -> None:
        found = [server for server in servers(fleet) if server.pid != first.pid]
        assert found
        listening = [at.laddr for at in found[0].net_connections() if at.status == "LISTEN"]
        assert [f"{at.ip}:{at.port}" for at in listening] == [address]

    eventually(is_back, within=60)
    assert "server ended by itself (signal 9)" in fleet.screen()


def servers(fleet: Up) -> list[psutil.Process]:
    return [child for child in fleet.everything() if is_server(child)]


def is_server(process: psutil.Process) -> bool:
    try:
        return "scriptfleet.results" in process.cmdline()
    except psutil.Error:
        # It ended between being listed and being asked.
        return False


def test_data_survives_a_restart(tmp_path: Path) -> None:
    first = Up(tmp_path / "home")
    first.wait_until_up()
    ended = submit(first, "--name", "before", "--shell", "echo kept")
    scriptfleet("wait", ended, home=first.home)
    waiting = submit(first, "--delay", "1h", "--shell", "true")
    assert first.end(signal.SIGTERM) == 0, first.screen()

    second = Up(tmp_path / "home", "--once")

    assert second.process.wait(60) == 0, second.screen()
    listed = {row["job_id"]: row["state"] for row in json.loads(scriptfleet("ps", "--json", home=first.home).stdout)}
    assert listed == {ended: "succeeded", waiting: "delayed"}


def test_ctrl_c_lets_a_running_job_finish_and_store_its_end(tmp_path: Path) -> None:
    up = Up(tmp_path / "home")
    up.wait_until_up()
    job = submit(up, str(EXAMPLES / "sleeps.py"), "6")
    eventually(lambda: '"running"' in scriptfleet("status", "--json", job, home=up.home).stdout)

    assert up.end() == 0, up.screen()

    listed = json.loads(scriptfleet("ps", "--json", home=up.home).stdout)
    assert [(row["job_id"], row["state"]) for row in listed] == [(job, "succeeded")]


def test_a_job_that_outlasts_the_end_goes_back_into_line(tmp_path: Path) -> None:
    up = Up(tmp_path / "home")
    up.wait_until_up()
    job = submit(up, str(EXAMPLES / "sleeps.py"), "90")
    eventually(lambda: '"running"' in scriptfleet("status", "--json", job, home=up.home).stdout)

    assert up.end() == 0, up.screen()

    assert "is killed" not in up.screen()
    listed = json.loads(scriptfleet("ps", "--json", home=up.home).stdout)
    assert [(row["job_id"], row["state"]) for row in listed] == [(job, "queued")]


def test_a_second_ctrl_c_does_not_wait_for_running_jobs(tmp_path: Path) -> None:
    up = Up(tmp_path / "home")
    up.wait_until_up()
    job = submit(up, str(EXAMPLES / "sleeps.py"), "60")
    eventually(lambda: '"running"' in scriptfleet("status", "--json", job, home=up.home).stdout)
    everything = up.everything()

    up.process.send_signal(signal.SIGINT)
    eventually(lambda: "stopping" in up.screen())
    up.process.send_signal(signal.SIGINT)

    assert up.process.wait(9) == 0, up.screen()
    assert "worker is killed" in up.screen()
    _, alive = psutil.wait_procs(everything, timeout=60)
    assert not alive


def test_a_killed_fleet_leaves_nothing_running_and_comes_up_again(tmp_path: Path) -> None:
    up = Up(tmp_path / "home")
    up.wait_until_up()
    job = submit(up, str(EXAMPLES / "sleeps.py"), "60")
    eventually(lambda: '"running"' in scriptfleet("status", "--json", job, home=up.home).stdout)
    left = up.everything()

    up.end(signal.SIGKILL)

    gone, alive = psutil.wait_procs(left, timeout=30)
    assert not alive
    assert len(gone) >= 5
    again = Up(tmp_path / "home", "--once")
    assert again.process.wait(60) == 0, again.screen()
