"""When a worker stops taking jobs and when it goes on, and how the load is read from recorded machines."""

from pathlib import Path

import pytest

from scriptfleet.config import load_settings
from scriptfleet.errors import InvalidValue
from scriptfleet_workers.admission import Admission
from scriptfleet_workers.host_load import HostLoad, Load


def judged(admission: Admission, *loads: tuple[float | None, float | None]) -> list[bool]:
    """Give for each look whether jobs are kept out."""
    return [bool(admission.judge(Load(*load))) for load in loads]


def test_it_resumes_only_well_below_the_limit() -> None:
    admission = Admission(80, None, HostLoad())

    assert judged(admission, (80, None), (80.1, None), (79, None), (72.1, None), (72, None), (79, None)) == [
        *(False, True, True, True),
        *(False, False),
    ]


def test_each_of_the_two_limits_keeps_jobs_out() -> None:
    admission = Admission(80, 50, HostLoad())

    assert judged(admission, (10, 60), (90, 10), (75, 10), (10, 10)) == [True, True, True, False]
    assert admission.judge(Load(91.4, 66.6)) == (
        "host CPU at 91 %, limit 80 %: takes jobs again at 72 %; "
        "host memory at 67 %, limit 50 %: takes jobs again at 45 %"
    )


def test_what_cannot_be_read_keeps_nothing_out() -> None:
    assert judged(Admission(80, 50, HostLoad()), (90, 90), (None, None)) == [True, False]


def test_without_limits_nothing_keeps_jobs_out(tmp_path: Path) -> None:
    machine(tmp_path, "1 1 1 1 1 1 1 1 0 0", 1000, 0)
    admission = Admission(None, None, HostLoad(tmp_path))

    assert (admission.look(), admission.load.memory_percent) == ("", 100)


def machine(proc: Path, cpu: str, total_kb: int, available_kb: int) -> None:
    (proc / "self").mkdir(parents=True, exist_ok=True)
    (proc / "stat").write_text(f"cpu  {cpu}\ncpu0 1 2 3\n")
    (proc / "meminfo").write_text(
        f"MemTotal: {total_kb} kB\nMemFree: 1 kB\nMemAvailable: {available_kb} kB\nHuge:\t0\n"
    )


def test_cpu_is_what_was_busy_since_the_look_before(tmp_path: Path) -> None:
    # user nice system idle iowait irq softirq steal guest guest_nice
    machine(tmp_path, "100 0 100 800 0 0 0 0 0 0", 1000, 400)
    load = HostLoad(tmp_path)
    machine(tmp_path, "140 10 120 820 5 2 2 1 40 10", 1000, 250)
    found = load.look()

    assert found.cpu_percent == pytest.approx(100 * 75 / 100)
    assert found.memory_percent == pytest.approx(75)
    assert found.memory_free_mb == pytest.approx(250 / 1024)
    assert load.look().cpu_percent is None


@pytest.mark.parametrize("version", [1, 2])
def test_the_fullest_container_around_this_worker_counts(tmp_path: Path, version: int) -> None:
    machine(tmp_path, "1 1 1 1 1 1 1 1 0 0", 1000, 900)
    own = tmp_path / "cgroup" / "outer" / "inner"
    own.mkdir(parents=True)
    used, limit, none, cache = (
        ("memory.usage_in_bytes", "memory.limit_in_bytes", "9223372036854771712", "total_inactive_file")
        if version == 1
        else ("memory.current", "memory.max", "max", "inactive_file")
    )
    for folder, size, most in ((own, 500, none), (own.parent, 600, "1000"), (own.parent.parent, 700, "5000")):
        (folder / used).write_text(f"{size}\n")
        (folder / limit).write_text(f"{most}\n")
        (folder / "memory.stat").write_text(f"cache 300\n{cache} 200\n")
    kind, options, line = ("cgroup", "rw,memory", "4:memory:") if version == 1 else ("cgroup2", "rw", "0::")
    (tmp_path / "self" / "mounts").write_text(f"x / ext4 rw 0 0\n{kind} {tmp_path}/cgroup {kind} {options} 0 0\n")
    (tmp_path / "self" / "cgroup").write_text(f"9:name=systemd:/\n{line}/outer/inner\n")

    assert HostLoad(tmp_path).look().memory_percent == pytest.approx(40)


def test_a_machine_that_says_nothing_has_no_load(tmp_path: Path) -> None:
    assert HostLoad(tmp_path).look() == Load(None, None)


def test_limits_come_from_the_environment_and_are_off_without(tmp_path: Path) -> None:
    given = {"SCRIPTFLEET_HOME": str(tmp_path), "SCRIPTFLEET_MAX_CPU_PERCENT": "87.5"}
    settings = load_settings(given)

    assert (settings.max_cpu_percent, settings.max_memory_percent) == (87.5, None)


@pytest.mark.parametrize("said", ["0", "-1", "101", "much", "nan"])
def test_a_limit_that_cannot_be_is_refused_by_name(tmp_path: Path, said: str) -> None:
    with pytest.raises(InvalidValue, match="SCRIPTFLEET_MAX_MEMORY_PERCENT"):
        load_settings({"SCRIPTFLEET_HOME": str(tmp_path), "SCRIPTFLEET_MAX_MEMORY_PERCENT": said})
