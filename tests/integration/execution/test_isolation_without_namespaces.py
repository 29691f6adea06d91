"""Isolation where this process may make no namespaces by itself: in a user namespace, by bubblewrap, or refused."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scriptfleet.execution.engine import Engine
from scriptfleet.execution.isolation.account import closed_folder, find_account
from scriptfleet.execution.isolation.apart import NotIsolated
from scriptfleet.execution.isolation.bubblewrap import wrapped
from scriptfleet.execution.isolation.capabilities import Feature, Way, capability, find_bubblewrap, try_bubblewrap, wish
from scriptfleet.execution.plan import Plan
from tests.conftest import missing

OTHER = "nobody"


@pytest.fixture(autouse=True)
def _needs_root() -> None:
    if os.geteuid() != 0:
        missing("root, which these tests give rights up from")


def test_a_worker_that_is_not_root_makes_the_same_mounts_and_network() -> None:
    """In a user namespace, in which it stays itself and has no privileges once it executes."""
    code = f"""
import ctypes, os, pwd
from scriptfleet.execution.shim.isolate import isolate, network_bytes
found = pwd.getpwnam({OTHER!r})
os.setgroups([]); os.setresgid(*[found.pw_gid] * 3); os.setresuid(*[found.pw_uid] * 3)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # Its own /proc files are root's until it is dumpable again, as after an exec.
mounts = [("read_only", "/", ""), ("cover", "/tmp", "mode=1777")]
counters = isolate(dict(mounts=mounts, network=True, user_namespace=True, identity=None, no_new_privileges=True))
print(network_bytes(counters), os.listdir("/tmp"), flush=True)
os.chdir("/")
os.execv("/bin/sh", ["sh", "-c", "id -un; touch /var/tmp/x; touch /tmp/x && mount -o remount,rw /"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    if "cannot make namespaces" in done.stderr:
        missing("user namespaces for everyone")

    assert done.stdout == f"(0, 0) []\n{OTHER}\n"
    assert "Read-only file system" in done.stderr
    assert "must be superuser" in done.stderr or "permission denied" in done.stderr


def test_bubblewrap_sets_a_run_apart_in_the_same_way(engine: Engine, tmp_path: Path) -> None:
    program = find_bubblewrap()
    if program is None or try_bubblewrap(Feature.NETWORK) or try_bubblewrap(Feature.MOUNTS):
        missing("bubblewrap")
    fixed, work = tmp_path / "fixed", tmp_path / "work"
    fixed.mkdir()
    work.mkdir()
    steps = [("cover", "/tmp", "mode=1777,size=1048576"), ("keep", str(work), ""), ("read_only", "/usr", "")]
    command = "ls /tmp/*/* -d; touch here; touch /usr/x; df --output=size -B1 /tmp | tail -1; exit 7"
    argv = wrapped(str(program), ["/bin/sh", "-c", command], str(work), steps, no_network=True)
    plan = Plan(argv, {"PATH": os.environ["PATH"]}, work, tmp_path / "out", tmp_path / "err")
    ended, _ = engine.run(replace(plan, isolation=wish(bubble=True)))

    assert (ended.exit_code, ended.network) == (7, (0, 0))
    assert (work / "here").exists()
    assert "Read-only file system" in (tmp_path / "err").read_text()
    assert (tmp_path / "out").read_text().split()[-1] == "1048576"


def test_bubblewrap_that_fails_ends_the_run_and_not_the_worker(engine: Engine, tmp_path: Path) -> None:
    program = find_bubblewrap()
    if program is None:
        missing("bubblewrap")
    argv = wrapped(str(program), ["/bin/true"], "/", [("keep", "/no/such/folder", "")], no_network=True)
    plan = Plan(argv, {}, tmp_path, tmp_path / "out", tmp_path / "err", isolation=wish(bubble=True))
    ended, _ = engine.run(plan)

    assert ended.exit_code == 1
    assert "/no/such/folder" in (tmp_path / "err").read_text()


def test_what_this_machine_can_do_is_tried() -> None:
    assert capability(Feature.PRIVILEGES).way is Way.DIRECT
    assert capability(Feature.USER).way is Way.DIRECT


def test_a_refusal_says_what_is_missing_and_where_to_look() -> None:
    fault = NotIsolated(Feature.NETWORK, "cannot make namespaces: Operation not permitted; bubblewrap is not installed")

    assert str(fault) == (
        "isolation is not to be had on this worker: no_network: cannot make namespaces: Operation not permitted; "
        "bubblewrap is not installed (see `scriptfleet doctor`)"
    )


def test_the_topmost_closed_folder_is_found(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b" / "c"
    inner.mkdir(parents=True)
    account = replace(find_account(OTHER), uid=12_345, gid=12_345, groups=(12_345,))
    (tmp_path / "a").chmod(0o700)
    (tmp_path / "a" / "b").chmod(0o700)

    assert closed_folder(inner, account) in {tmp_path / "a", *tmp_path.parents}


WITHOUT_NAMESPACES = """
import pathlib, sys, tempfile
from scriptfleet.execution.engine import Engine
from tests.engine_bench import Bench
engine = Engine()
with tempfile.TemporaryDirectory() as folder:
    pathlib.Path(folder).chmod(0o755)
    bench = Bench(engine, pathlib.Path(folder))
    for wanted in ({"no_network": True}, {"private_tmp": True}, {"user": sys.argv[1], "no_new_privileges": True}):
        record = bench.shell("id -un; touch mine", isolation=wanted)
        print(record.outcome, record.usage.error_type, record.usage.error_message or record.stdout.text.strip())
engine.close()
"""


def test_a_worker_that_may_make_no_namespaces_refuses_by_name_and_does_the_rest() -> None:
    """Root as it is in a container: without the right to administer the machine."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        missing("setpriv")
    command = [str(setpriv), "--bounding-set=-sys_admin", sys.executable, "-c", WITHOUT_NAMESPACES, OTHER]
    root = str(Path(__file__).parents[3])
    env = os.environ | {"PYTHONPATH": root}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=env, cwd="/")
    no_network, private_tmp, user = done.stdout.splitlines()

    refusal = "rejected NotIsolated isolation is not to be had on this worker: "
    assert no_network.startswith(f"{refusal}no_network: cannot make namespaces: Operation not permitted; b")
    assert private_tmp.startswith(f"{refusal}private_tmp and read_only: cannot make namespaces")
    assert user == f"succeeded None {OTHER}"
