"""Hostile scripts on a real worker: their outcome is told, and the worker goes on as if nothing had been."""

from scriptfleet.domain.state import State
from tests.eventually import eventually
from tests.fleet_parts import Fleet, marked


def test_a_worker_survives_a_script_that_kills_its_supervisors(fleet: Fleet) -> None:
    """Launcher and shim: those between the script and the worker's own process, which it is told to spare."""
    worker = fleet.worker()
    client = fleet.client()
    code = """
import os, sys, time
def above(pid): return int(open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()[1])
pid, family = above(os.getpid()), []
while pid not in (int(sys.argv[1]), 0, 1): family.append(pid); pid = above(pid)
assert pid
for one in reversed(family): os.killpg(os.getpgid(one), 9)
time.sleep(60)
"""
    job = client.submit_code(code, [str(worker.pid)], env={"HOSTILE": fleet.namespace})
    result = job.result(30)

    assert (result.outcome, result.usage.error_type) == (State.FAILED, "SupervisorKilled")
    eventually(lambda: marked(f"HOSTILE={fleet.namespace}") == [])
    assert client.submit_shell("echo next").result(30).stdout == "next\n"
    assert worker.popen.poll() is None
    assert worker.end() == 0


def test_a_worker_survives_daemons_escapes_and_closed_streams(fleet: Fleet) -> None:
    worker = fleet.worker()
    client = fleet.client()
    code = r"""
import os, signal, time
os.write(1, b'\x1b]0;owned\x07\x1b[2J')
signal.signal(15, signal.SIG_IGN)
if os.fork():
    for fd in (0, 1, 2): os.close(fd)
    os._exit(0)
os.setsid()
while True: time.sleep(1)
"""
    results = [job.result(30) for job in [client.submit_code(code, env={"HOSTILE": fleet.namespace}) for _ in range(4)]]

    assert [result.outcome for result in results] == [State.SUCCEEDED] * 4
    assert {result.stdout for result in results} == {"\x1b]0;owned\x07\x1b[2J"}
    assert marked(f"HOSTILE={fleet.namespace}") == []
    assert client.submit_shell("echo next").result(30).stdout == "next\n"
    assert worker.end() == 0
