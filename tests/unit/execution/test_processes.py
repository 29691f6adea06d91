"""The shim's view of processes where there is no /proc."""

import os
import subprocess

import psutil

from scriptfleet.execution.shim import processes
from scriptfleet.execution.shim.processes import Listed, below

TABLE = [
    Listed(10, 1, 10),  # The shim.
    Listed(11, 10, 11),  # The script.
    Listed(12, 11, 11),
    Listed(13, 1, 11),  # An orphan of the script's group,
    Listed(14, 13, 14),  # and its child in a group of its own.
    Listed(20, 1, 20),
    Listed(21, 20, 20),
]


def test_descendants_and_orphans_of_known_groups_are_found_with_what_they_started() -> None:
    assert below(10, {11}, TABLE) == {11, 12, 13, 14}


def test_strangers_and_the_shim_itself_are_not_found() -> None:
    assert below(10, {10}, TABLE) == {11, 12}
    assert below(99, set(), TABLE) == set()


def test_ps_lists_this_process_and_neither_itself_nor_what_has_ended() -> None:
    known = {one.pid for one in psutil.Process().children()}
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    table = {one.pid: one for one in processes.listed()}
    child.wait()

    assert (table[os.getpid()].parent, table[os.getpid()].group) == (os.getppid(), os.getpgrp())
    assert child.pid not in table
    assert {one.pid for one in table.values() if one.parent == os.getpid()} <= known


def test_a_group_is_there_until_its_last_process_is() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True) as child:
        assert processes.has_group(child.pid)
    assert not processes.has_group(child.pid)
