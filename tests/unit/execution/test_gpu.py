"""GPU measures from a recorded driver; and that a host without one pays nothing."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scriptfleet.execution.monitor import gpu
from scriptfleet.execution.monitor.gpu import GpuPeak, Gpus, Look, find_gpus, gpu_trouble

MIB = 1024 * 1024


class DriverError(Exception):
    """As pynvml's: with the driver's number."""

    def __init__(self, value: int) -> None:
        self.value = value
        super().__init__(f"error {value}")


class NotFoundError(DriverError):
    """No sample."""


@dataclass
class Sample:
    pid: int
    timeStamp: int
    smUtil: int


@dataclass
class Holder:
    pid: int
    usedGpuMemory: int | None


@dataclass
class Recorded:
    """What a driver said, one answer for each look; an exception is raised."""

    util: Sequence[Sequence[Sequence[Sample] | Exception]]
    memory: Sequence[Sequence[Sequence[Holder] | Exception]]
    asked_since: list[tuple[int, int]] = field(default_factory=list)
    NVMLError: type[Exception] = DriverError
    NVMLError_NotFound: type[Exception] = NotFoundError

    def __post_init__(self) -> None:
        self._looks = [0] * len(self.util), [0] * len(self.util)

    def nvmlInit(self) -> None:
        """Nothing to load."""

    def nvmlDeviceGetCount(self) -> int:
        return len(self.util)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetProcessUtilization(self, handle: int, since: int) -> Sequence[Sample]:
        self.asked_since.append((handle, since))
        return self._next(self.util, self._looks[0], handle)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> Sequence[Holder]:
        return self._next(self.memory, self._looks[1], handle)

    @staticmethod
    def _next(said: Sequence, looks: list[int], handle: int) -> Sequence:  # type: ignore[type-arg]
        looks[handle] += 1
        answer = said[handle][looks[handle] - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def each_look_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_LOOK_SECONDS", 0.0)


def opened(driver: Recorded) -> Gpus:
    gpus = Gpus(driver)
    gpus.open()
    return gpus


def test_a_runs_peak_is_the_sum_over_its_processes_and_devices_at_one_moment() -> None:
    driver = Recorded(
        util=[
            [[Sample(7, 10, 30), Sample(8, 10, 20), Sample(99, 10, 40)], [Sample(7, 20, 5)]],
            [[Sample(7, 11, 25)], [Sample(8, 21, 1)]],
        ],
        memory=[
            [[Holder(7, 100 * MIB), Holder(99, 999 * MIB)], [Holder(7, 300 * MIB), Holder(8, 50 * MIB)]],
            [[Holder(8, 10 * MIB)], []],
        ],
    )
    peak = GpuPeak(opened(driver))
    for _ in range(2):
        peak.add([7, 8])

    assert peak.util_max == 30 + 20 + 25
    assert peak.memory_max_mb == 350


def test_of_several_samples_of_a_process_the_newest_counts_and_is_not_asked_for_again() -> None:
    driver = Recorded(util=[[[Sample(7, 30, 80), Sample(7, 20, 10)], NotFoundError(6)]], memory=[[[], []]])
    gpus = opened(driver)

    assert gpus.look() == Look({7: 80.0}, {})
    assert gpus.look() == Look({}, {})
    assert driver.asked_since == [(0, 0), (0, 30)]


def test_no_sample_that_the_module_calls_an_error_named_success_is_none() -> None:
    assert opened(Recorded(util=[[DriverError(0)]], memory=[[[]]])).look() == Look({}, {})


def test_what_a_device_cannot_tell_is_unknown_and_not_zero() -> None:
    peak = GpuPeak(opened(Recorded(util=[[DriverError(3)]], memory=[[[Holder(7, None)]]])))
    peak.add([7])

    assert (peak.util_max, peak.memory_max_mb) == (None, None)


def test_what_another_process_holds_unknown_is_not_this_runs_concern() -> None:
    peak = GpuPeak(opened(Recorded(util=[[[]]], memory=[[[Holder(7, 3 * MIB), Holder(99, None)]]])))
    peak.add([7])

    assert peak.memory_max_mb == 3


def test_entries_that_the_driver_never_filled_in_are_passed_over() -> None:
    filled, never = Sample(7, 30, 80), Sample(7, 2**60, 4_000_000_000)
    driver = Recorded(
        util=[[[filled, never, Sample(8, 0, 0)], [Sample(7, 30, 99), Sample(7, 40, 60)]]], memory=[[[], []]]
    )
    gpus = opened(driver)

    assert gpus.look() == Look({7: 80.0}, {})
    assert gpus.look() == Look({7: 60.0}, {})
    assert driver.asked_since == [(0, 0), (0, 30)]


def test_a_run_that_used_no_gpu_where_there_is_one_used_zero() -> None:
    peak = GpuPeak(opened(Recorded(util=[[[Sample(99, 1, 50)]]], memory=[[[Holder(99, MIB)]]])))
    peak.add([7])

    assert (peak.util_max, peak.memory_max_mb) == (0.0, 0.0)


def test_before_the_driver_is_loaded_nothing_is_known() -> None:
    peak = GpuPeak(Gpus(Recorded(util=[[[]]], memory=[[[]]])))
    peak.add([7])

    assert (peak.util_max, peak.memory_max_mb) == (None, None)


def test_many_runs_share_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_LOOK_SECONDS", 60.0)
    driver = Recorded(util=[[[Sample(7, 1, 50)]]], memory=[[[]]])
    gpus = opened(driver)
    for pid in range(100):
        GpuPeak(gpus).add([pid])

    assert len(driver.asked_since) == 1


def test_without_a_device_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert gpu_trouble(str(tmp_path / "nvidiactl")) == ""


def test_a_container_with_process_numbers_of_its_own_does_not_guess(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pynvml.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("nvidiactl", "pid"):
        (tmp_path / name).touch()

    assert "container" in (gpu_trouble(str(tmp_path / "nvidiactl"), str(tmp_path / "pid")) or "")


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this host has a GPU")
def test_on_a_host_without_a_gpu_nothing_is_loaded_and_no_thread_is_started() -> None:
    assert find_gpus() is None
    program = (
        "import sys, threading; from scriptfleet.execution.engine import Engine; Engine();"
        "print({'pynvml', 'ctypes.util'} & set(sys.modules), threading.active_count())"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert said.stdout == "set() 1\n"
