"""A run that asks to be set apart is, and says so in its numbers; what a machine cannot do is refused by name."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from scriptfleet import State
from scriptfleet.domain.run import RunRecord
from scriptfleet.errors import InvalidValue
from scriptfleet.queues.drafts import of_code, of_command
from tests.conftest import missing
from tests.engine_bench import Bench

OTHER = "nobody"


@pytest.fixture(autouse=True)
def _needs_root() -> None:
    if os.geteuid() != 0:
        missing("root, which isolation by namespaces and as another user is tested as")


def ran(record: RunRecord) -> str:
    assert record.outcome is State.SUCCEEDED, (record.usage.error_message, record.stderr.text)
    return record.stdout.text


# As another user.


def test_a_run_as_another_user_is_that_user_in_all_respects(bench: Bench) -> None:
    command = "id -u; id -g; id -G; echo $HOME $USER $LOGNAME; grep ^Cap /proc/self/status"
    lines = ran(bench.shell(command, isolation={"user": OTHER})).splitlines()
    found = pwd.getpwnam(OTHER)

    assert lines[:3] == [str(found.pw_uid), str(found.pw_gid), " ".join(map(str, os.getgrouplist(OTHER, found.pw_gid)))]
    assert lines[3] == f"{found.pw_dir} {OTHER} {OTHER}"
    capabilities = dict(line.split() for line in lines[4:])
    assert int(capabilities["CapEff:"], 16) == int(capabilities["CapPrm:"], 16) == 0


def test_a_user_can_write_the_runs_folder_and_nothing_of_the_workers(bench: Bench) -> None:
    command = "touch mine && stat -c %U mine; touch ../stolen; ln -sf /etc/shadow ../stdout; cat ../stdout"
    record = bench.shell(command, isolation={"user": OTHER})

    assert record.stdout.text == f"{OTHER}\n"
    assert record.stderr.text.count("Permission denied") == 3
    assert not bench.workspace.stdout.is_symlink()


def test_a_user_can_report(bench: Bench) -> None:
    said = '{"metric": {"name": "rows", "value": 7}}'
    record = bench.shell(f"echo '{said}' >> $SCRIPTFLEET_REPORT_FILE", isolation={"user": OTHER, "private_tmp": True})

    ran(record)
    assert record.usage.custom == {"rows": 7}


def test_variables_that_the_job_sets_stand(bench: Bench) -> None:
    isolation = {"user": OTHER, "private_tmp": True}
    record = bench.shell("echo $HOME $TMPDIR", env={"HOME": "/mine", "TMPDIR": "/var/tmp"}, isolation=isolation)

    assert ran(record) == "/mine /var/tmp\n"


def test_a_folder_that_the_user_may_not_enter_shows_only_the_run(bench: Bench, tmp_path: Path) -> None:
    secret = tmp_path.parent / "secret-of-the-worker"
    secret.write_text("x")
    tmp_path.parent.chmod(0o700)
    record = bench.shell(f"cat {secret}; pwd", isolation={"user": OTHER})

    assert "No such file" in record.stderr.text
    assert record.stdout.text == f"{bench.workspace.work}\n"


def test_a_user_that_this_machine_does_not_have_is_refused(bench: Bench) -> None:
    record = bench.shell("true", isolation={"user": "no-such-user"})

    assert (record.outcome, record.usage.error_type) == (State.REJECTED, "InvalidJob")
    assert "isolation.user: 'no-such-user'" in (record.usage.error_message or "")


def test_a_program_that_the_user_cannot_reach_is_refused_by_name(bench: Bench, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    program = closed / "sh"
    program.symlink_to(Path("/bin/sh").resolve())
    own = closed / "own"
    own.write_bytes(Path("/bin/sh").resolve().read_bytes())
    own.chmod(0o755)
    spec = of_code("pass", (), 1_000, interpreter=str(own), isolation={"user": OTHER}).spec
    record = bench.run(spec, "pass")

    assert record.outcome is State.REJECTED
    assert str(own) in (record.usage.error_message or "")


def test_a_working_folder_that_the_user_may_not_enter_is_named(bench: Bench, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    record = bench.shell("true", working_dir=str(closed), isolation={"user": OTHER})

    assert (record.outcome, record.usage.error_type) == (State.FAILED, "CouldNotStart")
    assert f"cannot enter {closed}" in (record.usage.error_message or "")


def test_being_who_one_is_already_changes_nothing(bench: Bench) -> None:
    assert ran(bench.shell("id -un", isolation={"user": pwd.getpwuid(os.geteuid()).pw_name})) == "root\n"


# A /tmp of its own.


def test_a_private_tmp_is_empty_open_to_all_and_gone_afterwards(bench: Bench) -> None:
    mark = f"/tmp/mark-{bench.marker}"
    record = bench.shell(f"stat -c %a /tmp; touch {mark}; ls /tmp; echo $TMPDIR", isolation={"private_tmp": True})
    lines = ran(record).splitlines()

    assert (lines[0], lines[-1]) == ("1777", "/tmp")
    # The run's own folder lies below /tmp in these tests and stays where it is, as do programs that lie there.
    programs = {Path(place).parts[2] for place in (sys.prefix, sys.base_prefix) if place.startswith("/tmp/")}
    assert set(lines[1:-1]) <= {Path(mark).name, bench.workspace.folder.parts[2], *programs}
    assert not Path(mark).exists()


def test_a_script_that_lies_in_tmp_still_runs_under_a_private_tmp(bench: Bench) -> None:
    assert ran(bench.python("import os; print(os.path.exists(__file__))", isolation={"private_tmp": True})) == "True\n"


def test_a_private_tmp_holds_no_more_than_the_memory_limit(bench: Bench) -> None:
    command = "df --output=size -B1 /tmp | tail -1"
    record = bench.shell(command, limits={"memory_mb": 64}, isolation={"private_tmp": True})

    assert int(ran(record)) == 64 << 20


# Paths that cannot be written.


def test_read_only_paths_cannot_be_written_and_others_can(bench: Bench, tmp_path: Path) -> None:
    fixed, free = tmp_path / "fixed", tmp_path / "free"
    fixed.mkdir()
    free.mkdir()
    record = bench.shell(f"touch {free}/x && touch {fixed}/x", isolation={"read_only": [str(fixed)]})

    assert record.outcome is State.FAILED
    assert f"'{fixed}/x': Read-only file system" in record.stderr.text
    assert (free / "x").exists()
    (fixed / "worker-still-can").touch()


def test_with_everything_read_only_the_run_still_has_its_folder_and_devices(bench: Bench) -> None:
    isolation = {"read_only": ["/"], "private_tmp": True}
    command = "touch here /tmp/there && echo x > /dev/null && echo fine; touch /usr/x /dev/shm/x; mount -o remount,rw /"
    record = bench.shell(command, isolation=isolation)

    assert record.stdout.text == "fine\n"
    assert record.stderr.text.count("Read-only file system") == 2
    assert "permission denied" in record.stderr.text


def test_mounts_below_a_read_only_path_are_read_only_too(bench: Bench) -> None:
    record = bench.shell("touch /dev/shm/x", isolation={"read_only": ["/dev"]})

    assert "Read-only file system" in record.stderr.text


def test_a_read_only_path_that_a_private_tmp_hides_is_not_written_either(bench: Bench, tmp_path: Path) -> None:
    isolation = {"private_tmp": True, "read_only": [str(tmp_path)]}
    ran(bench.shell("touch own && touch ../../sibling", isolation=isolation))

    assert (bench.workspace.work / "own").exists()
    assert not (tmp_path / "sibling").exists()


def test_a_working_folder_in_tmp_is_read_only_where_its_parents_are(bench: Bench, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    isolation = {"private_tmp": True, "read_only": ["/"]}
    record = bench.shell("touch x", working_dir=str(own), isolation=isolation)

    assert "Read-only file system" in record.stderr.text


def test_a_read_only_path_that_this_machine_does_not_have_is_refused(bench: Bench) -> None:
    record = bench.shell("true", isolation={"read_only": ["/no/such"]})

    assert record.outcome is State.REJECTED
    assert "isolation.read_only: '/no/such'" in (record.usage.error_message or "")


# No network.

TALK = """
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
client.sendall(b"x" * 1000)
print(len(server.accept()[0].recv(1000)))
try:
    socket.create_connection(("192.0.2.1", 80), timeout=5)
except OSError as fault:
    print(fault.strerror)
"""


def test_a_run_without_network_has_loopback_and_nothing_else_and_its_bytes_are_exact(bench: Bench) -> None:
    record = bench.python(TALK, isolation={"no_network": True})

    assert ran(record) == "1000\nNetwork is unreachable\n"
    assert (record.usage.network_rx_bytes, record.usage.network_tx_bytes) == (0, 0)


def test_bytes_that_do_cross_an_interface_of_the_runs_own_are_counted(bench: Bench) -> None:
    frame = "import socket\ns = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\ns.bind(('v0', 0))\n"
    frame += "for _ in range(7): s.send(b'\\xff' * 12 + b'\\x88\\xb5' + bytes(86))\n"
    make = "ip link add v0 type veth peer name v1 && sysctl -qw net.ipv6.conf.v0.disable_ipv6=1 "
    make += "net.ipv6.conf.v1.disable_ipv6=1 && ip link set v0 up && ip link set v1 up"
    if subprocess.run(["unshare", "-n", "sh", "-c", make], capture_output=True, check=False).returncode:
        missing("a kernel with veth")
    record = bench.python(f"import os\nassert os.system({make!r}) == 0\n{frame}", isolation={"no_network": True})

    ran(record)
    # Each frame leaves one end and arrives at the other.
    assert (record.usage.network_rx_bytes, record.usage.network_tx_bytes) == (700, 700)


def test_even_the_shortest_run_without_network_has_its_bytes(bench: Bench) -> None:
    for _ in range(10):
        usage = bench.shell("exit 0", isolation={"no_network": True}).usage
        assert (usage.network_rx_bytes, usage.network_tx_bytes) == (0, 0)


def test_a_run_on_the_machines_network_has_no_bytes_of_its_own(bench: Bench) -> None:
    usage = bench.shell("true").usage

    assert (usage.network_rx_bytes, usage.network_tx_bytes) == (None, None)


def test_root_cannot_leave_the_isolation_again(bench: Bench) -> None:
    record = bench.shell("nsenter -t 1 -n true", isolation={"no_network": True})

    assert record.outcome is State.FAILED
    assert "denied" in record.stderr.text


# Privileges.


def test_no_new_privileges_holds_for_the_script_and_what_it_starts(bench: Bench) -> None:
    command = "grep NoNewPrivs /proc/self/status; sh -c 'grep NoNewPrivs /proc/self/status'"

    assert ran(bench.shell(command, isolation={"no_new_privileges": True})).split()[1::2] == ["1", "1"]
    assert ran(bench.shell(command)).split()[1::2] == ["0", "0"]


# All together, and what comes after.


def test_all_of_it_together_ends_on_time_and_leaves_nothing(bench: Bench) -> None:
    everything = {
        "user": OTHER,
        "private_tmp": True,
        "read_only": ["/"],
        "no_network": True,
        "no_new_privileges": True,
    }
    mounts, files = Path("/proc/self/mounts").read_text(), _open_files(bench)
    record = bench.shell(
        "trap '' TERM; echo up; while :; do sleep 1; done", timeout=0.5, grace=0.2, isolation=everything
    )

    assert (record.outcome, record.stdout.text) == (State.TIMED_OUT, "up\n")
    assert (record.usage.network_rx_bytes, record.usage.network_tx_bytes) == (0, 0)
    assert Path("/proc/self/mounts").read_text() == mounts
    assert _open_files(bench) == files
    assert ran(bench.shell("id -un")) == "root\n"


def _open_files(bench: Bench) -> int:
    """Count the descriptors of the shim that takes the next run."""
    shims: list[int] = []
    bench.run(of_command("true").spec, on_start=lambda running: shims.append(running.shim_pid))
    return len(os.listdir(f"/proc/{shims[0]}/fd"))


def test_warm_and_isolation_exclude_each_other() -> None:
    with pytest.raises(InvalidValue, match="warm"):
        of_code("pass", (), 1_000, warm=True, isolation={"no_network": True})
