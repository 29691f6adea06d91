"""What a control group says, from recorded files; and which accounting is chosen."""

import os
from pathlib import Path

import pytest

from scriptfleet.config import MONITORS, load_settings
from scriptfleet.domain.limits import Limits
from scriptfleet.errors import EngineFailed, InvalidValue
from scriptfleet.execution.cgroups import find
from scriptfleet.execution.cgroups.find import find_hierarchy
from scriptfleet.execution.cgroups.group import Refusals
from scriptfleet.execution.cgroups.kept_file import KeptFile
from scriptfleet.execution.cgroups.method import Method
from scriptfleet.execution.cgroups.version1 import Group1
from scriptfleet.execution.cgroups.version2 import Group2
from scriptfleet.execution.conclude import _waits

PRESSURE = "some avg10=0.00 avg60=0.00 avg300=0.00 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"


def record(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    return folder


@pytest.fixture
def above(tmp_path: Path) -> Path:
    """The group of a container that was throttled for 3 s before the run and 2 s during it."""
    return record(tmp_path / "container", cpu__stat="usage_usec 9000000\nthrottled_usec 5000000\n")


def test_a_v2_group_tells_quotas_and_pressure(above: Path) -> None:
    folder = record(
        above / "run",
        cpu__stat="usage_usec 1500000\nuser_usec 1\nsystem_usec 1\nthrottled_usec 250000\n",
        memory__events="low 0\noom 1\noom_kill 1\n",
        memory__peak="1048576\n",
        pids__events="max 2\n",
        **{f"{kind}__pressure": PRESSURE.format(total) for kind, total in [("cpu", 10), ("memory", 20), ("io", 30)]},
    )
    group = Group2(str(folder), Limits(), throttled_before=3.0)
    reading = group.read()

    assert (group.cpu_seconds(), group.refusals()) == (1.5, Refusals(1, 2))
    assert reading.throttled_seconds == pytest.approx(0.25 + 2)
    assert _waits(reading) == {
        "cpu_throttled_seconds": pytest.approx(2.25),
        "cpu_stalled_seconds": pytest.approx(10e-6),
        "memory_stalled_seconds": pytest.approx(20e-6),
        "io_stalled_seconds": pytest.approx(30e-6),
    }


def test_a_kernel_without_pressure_and_quotas_leaves_them_unknown(tmp_path: Path) -> None:
    group = Group2(str(record(tmp_path / "run", cpu__stat="usage_usec 5\n")), Limits(), None)

    assert set(_waits(group.read()).values()) == {None}
    assert group.read().charged_peak_bytes is None


def test_a_v1_group_tells_quotas_where_both_cpu_controllers_are_mounted_together(tmp_path: Path) -> None:
    record(tmp_path / "cpuacct", cpu__stat="nr_periods 1\nthrottled_time 4000000000\n")
    cpu = record(tmp_path / "cpuacct" / "run", cpuacct__usage="1500000000\n", cpu__stat="throttled_time 500000000\n")
    memory = record(tmp_path / "memory" / "run")
    group = Group1({"cpuacct": str(cpu), "memory": str(memory)}, Limits(), throttled_before=3.0)

    assert group.cpu_seconds() == 1.5
    assert group.read().throttled_seconds == pytest.approx(1.5)
    (cpu / "cpu.stat").unlink()
    assert group.read().throttled_seconds is None


def test_a_kept_file_shows_what_is_in_it_now_and_is_closed_once(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    (tmp_path / "pids.current").write_text("1\n")
    kept = KeptFile(str(tmp_path / "pids.current"))
    (tmp_path / "pids.current").write_text("12\n")

    assert kept.number() == 12
    kept.close()
    kept.close()
    assert (kept.number(), KeptFile(str(tmp_path / "none")).number()) == (None, None)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_setting_knows_exactly_the_methods_there_are() -> None:
    assert set(MONITORS) == {str(method) for method in Method}
    assert load_settings({"SCRIPTFLEET_MONITOR": "sampled"}).monitor == "sampled"
    with pytest.raises(
        InvalidValue, match="SCRIPTFLEET_MONITOR: 'perf' is not accepted: expected one of auto, cgroup2"
    ):
        load_settings({"SCRIPTFLEET_MONITOR": "perf"})


def test_a_system_without_proc_is_sampled_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "find_version1", lambda *_: "no v1")
    monkeypatch.setattr(find, "find_version2", lambda *_: "no v2")
    monkeypatch.setattr(find, "lists_children", lambda: False)
    found = find_hierarchy()

    assert (found.method, found.hierarchy) == (Method.SAMPLED, None)
    assert found.reasons[:3] == ("cgroup2: no v2", "cgroup1: no v1", "rusage: /proc does not list children here")
    with pytest.raises(EngineFailed, match="rusage is not to be had on this machine: rusage: /proc does not"):
        find_hierarchy(Method.RUSAGE)
