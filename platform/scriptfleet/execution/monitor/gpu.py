"""What runs use of NVIDIA GPUs, by NVML. Nothing of it is loaded on a host without the driver.

The driver tells processes by their numbers on the host itself, so a worker in a container with numbers of its own
cannot tell which are whose, and says so instead of guessing.
"""

import importlib
import os
import threading
import time
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple, Protocol

from scriptfleet.late_log import late_log

log = late_log("scriptfleet.gpu")

_DEVICE_NODE: Final = "/dev/nvidiactl"
_PID_NAMESPACE: Final = "/proc/self/ns/pid"
#: The number that Linux gives the namespace of processes in which the machine itself started (PROC_PID_INIT_INO).
_FIRST_NAMESPACE: Final = 0xEFFF_FFFC
_MODULE: Final = "pynvml"
_SUCCESS: Final = 0
_MIB: Final = 1024 * 1024
#: Percent.
_WHOLE_DEVICE: Final = 100
#: All runs share one look at the devices, not older than this.
_LOOK_SECONDS: Final = 0.5


class Nvml(Protocol):
    """The part of the module ``pynvml`` that is used; see NVIDIA's NVML API reference."""

    NVMLError: type[Exception]
    NVMLError_NotFound: type[Exception]

    def nvmlInit(self) -> None:
        """Load the driver's library."""

    def nvmlDeviceGetCount(self) -> int:
        """Give how many devices there are."""

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:
        """Give a device."""

    def nvmlDeviceGetProcessUtilization(self, handle: Any, since_microseconds: int) -> Any:
        """Give samples with ``pid``, ``timeStamp`` (µs) and ``smUtil`` (%) that are newer."""

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any) -> Any:
        """Give processes with ``pid`` and ``usedGpuMemory`` (bytes, or None)."""


class Look(NamedTuple):
    """All devices at one moment, by process. None where no device would say."""

    #: Percent of one device, added up over devices.
    util_percent: Mapping[int, float] | None = None
    memory_bytes: Mapping[int, int] | None = None
    #: Processes that use a device of which the driver does not tell what they hold.
    untold: frozenset[int] = frozenset()


class _Device:
    def __init__(self, handle: Any) -> None:
        self.handle = handle
        #: Time stamp of the newest sample, as the driver counts.
        self.seen_microseconds = 0


class _Sums:
    def __init__(self) -> None:
        self.by_pid: dict[int, float] = {}
        self.is_known = False

    def add(self, found: Mapping[int, float]) -> None:
        """Add what one device says."""
        self.is_known = True
        for pid, amount in found.items():
            self.by_pid[pid] = self.by_pid.get(pid, 0) + amount


class Gpus:
    """The devices of this host, looked at by one thread at a time."""

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._devices: list[_Device] = []
        self._look: Look | None = None
        self._looked_at = 0.0
        self._untold: set[int] = set()

    def open(self) -> int:
        """Load the driver, which may take seconds; give how many devices there are. Raises NVMLError."""
        nvml = self._nvml
        nvml.nvmlInit()
        count = nvml.nvmlDeviceGetCount()
        self._devices = [_Device(nvml.nvmlDeviceGetHandleByIndex(index)) for index in range(count)]
        return count

    def look(self) -> Look | None:
        """Give how the devices are used; None until they are open."""
        now = time.monotonic()
        if self._devices and (self._look is None or now - self._looked_at >= _LOOK_SECONDS):
            self._look, self._looked_at = self._read(), now
        return self._look

    def _read(self) -> Look:
        util, memory = _Sums(), _Sums()
        self._untold = set()
        for device in self._devices:
            for sums, read in ((util, self._util), (memory, self._memory)):
                try:
                    sums.add(read(device))
                except self._nvml.NVMLError as fault:
                    # Not every device and mode can tell, as a partitioned one cannot: then nothing is known of it.
                    log.debug("gpu_not_read reason=%s", fault)
        held = {pid: int(size) for pid, size in memory.by_pid.items()}
        return Look(util.by_pid if util.is_known else None, held if memory.is_known else None, frozenset(self._untold))

    def _util(self, device: _Device) -> dict[int, float]:
        """Give the newest sample of each process."""
        try:
            samples = self._nvml.nvmlDeviceGetProcessUtilization(device.handle, device.seen_microseconds)
        except self._nvml.NVMLError as fault:
            # Without a sample the driver says that none is found, or the module that it failed with success.
            if isinstance(fault, self._nvml.NVMLError_NotFound) or getattr(fault, "value", None) == _SUCCESS:
                return {}
            raise
        # The driver is known to give entries that it never filled in: their numbers and moments are anything.
        sound = [one for one in samples if one.smUtil <= _WHOLE_DEVICE and one.timeStamp > device.seen_microseconds]
        newest: dict[int, float] = {}
        for sample in sorted(sound, key=lambda one: int(one.timeStamp)):
            newest[sample.pid] = float(sample.smUtil)
            device.seen_microseconds = max(device.seen_microseconds, int(sample.timeStamp))
        return newest

    def _memory(self, device: _Device) -> dict[int, float]:
        found = self._nvml.nvmlDeviceGetComputeRunningProcesses(device.handle)
        self._untold |= {one.pid for one in found if one.usedGpuMemory is None}
        return {one.pid: one.usedGpuMemory for one in found if one.usedGpuMemory is not None}


class GpuPeak:
    """The most that one run's processes used at once."""

    def __init__(self, gpus: Gpus | None) -> None:
        self._gpus = gpus
        #: Percent of one device, added up over devices; None where it is not known.
        self.util_max: float | None = None
        self.memory_max_mb: float | None = None

    def add(self, pids: Collection[int]) -> None:
        """Take the devices' latest look for the run's processes."""
        look = self._gpus.look() if self._gpus else None
        if look is None:
            return
        if look.util_percent is not None:
            util = sum(look.util_percent.get(pid, 0.0) for pid in pids)
            self.util_max = max(self.util_max or 0.0, util)
        if look.memory_bytes is not None and look.untold.isdisjoint(pids):
            held = sum(look.memory_bytes.get(pid, 0) for pid in pids) / _MIB
            self.memory_max_mb = max(self.memory_max_mb or 0.0, held)


def gpu_trouble(device_node: str = _DEVICE_NODE, pid_namespace: str = _PID_NAMESPACE) -> str | None:
    """Tell why runs get no GPU measures here; empty where there is no GPU at all, None where they do get them."""
    if not os.path.exists(device_node):
        return ""
    # Only where there is a device.
    import importlib.util  # noqa: PLC0415

    if importlib.util.find_spec(_MODULE) is None:
        return "the package nvidia-ml-py is not installed"
    try:
        is_first = os.stat(pid_namespace).st_ino == _FIRST_NAMESPACE
    except OSError:
        is_first = False
    return None if is_first else "this is a container with process numbers of its own"


def find_gpus() -> Gpus | None:
    """Give the host's GPUs, opened in a thread of their own since that may take seconds; None without any."""
    if gpu_trouble() is not None:
        return None
    nvml = load_nvml()
    gpus = Gpus(nvml)
    threading.Thread(target=_open, args=[gpus, nvml], name="gpus", daemon=True).start()
    return gpus


def load_nvml() -> Nvml:
    """Load NVIDIA's module. Raises ImportError."""
    loaded: Any = importlib.import_module(_MODULE)
    nvml: Nvml = loaded
    return nvml


def _open(gpus: Gpus, nvml: Nvml) -> None:
    try:
        log.info("gpus_found count=%d", gpus.open())
    except nvml.NVMLError as fault:
        log.warning("gpus_not_read reason=%s", fault)
