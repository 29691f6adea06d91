"""Checks of this machine, the broker and the database: each gives what was found and what to do about it."""

import ctypes
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from scriptfleet.config import Settings, without_password
from scriptfleet.errors import EngineFailed, ScriptfleetError
from scriptfleet.execution.cgroups.find import find_hierarchy
from scriptfleet.execution.cgroups.method import Method
from scriptfleet.execution.isolation.capabilities import Feature, capability
from scriptfleet.execution.monitor.gpu import Gpus, gpu_trouble, load_nvml
from scriptfleet.queues.client import Broker
from scriptfleet.queues.connection import check_server, told_plainly
from scriptfleet.queues.fleet import FleetView

_LEAST_PYTHON: Final = (3, 11)
_MIB: Final = 1 << 20
_DISK_WARN_MIB, _DISK_FAIL_MIB = 1024, 100
_SKEW_WARN_SECONDS: Final = 2.0
_PR_GET_CHILD_SUBREAPER: Final = 37


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    what: str
    level: Level
    found: str
    #: What to do; empty when there is nothing to do.
    advice: str = ""


def all_findings(settings: Settings) -> Iterator[Finding]:
    """Check everything, one after the other."""
    yield _python()
    yield from _home(settings.home)
    yield from _kernel(Method(settings.monitor))
    yield _gpu()
    yield from _isolation()
    yield from _broker(settings)
    yield _database(settings)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    is_new_enough = sys.version_info[:2] >= _LEAST_PYTHON
    return Finding("python", Level.OK if is_new_enough else Level.FAIL, found, "" if is_new_enough else "install 3.11")


def _home(home: Path) -> Iterator[Finding]:
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        advice = "make it writable for this user, or set SCRIPTFLEET_HOME to another folder"
        yield Finding("home", Level.FAIL, f"{home} cannot be written", advice)
        return
    yield Finding(
        "home", Level.OK, str(home) if home.exists() else f"{home} (not there yet: `scriptfleet up` makes it)"
    )
    free_mib = shutil.disk_usage(place).free // _MIB
    level = Level.FAIL if free_mib < _DISK_FAIL_MIB else Level.WARN if free_mib < _DISK_WARN_MIB else Level.OK
    yield Finding("disk", level, f"{free_mib:,} MiB free", "" if level is Level.OK else "free some space, or move home")


def _kernel(wanted: Method) -> Iterator[Finding]:
    yield _accounting(wanted)
    yield _present("pidfd", _has_pidfd(), "Linux 5.3 or newer ends processes more safely")
    yield _present(
        "subreaper", _has_subreaper(), "without it, daemonised children of scripts are not accounted: use Linux"
    )


def _accounting(wanted: Method) -> Finding:
    try:
        found = find_hierarchy(wanted)
    except EngineFailed as fault:
        return Finding("accounting", Level.FAIL, str(fault), "nothing runs without: set SCRIPTFLEET_MONITOR to auto")
    told = f"{found.method} ({'; '.join(found.reasons)})"
    if found.hierarchy is not None:
        return Finding("accounting", Level.OK, told)
    return Finding(
        "accounting", Level.WARN, told, "give this user a control group to have the kernel limit whole trees"
    )


def _gpu() -> Finding:
    trouble = gpu_trouble()
    if trouble == "":
        return Finding("gpu", Level.OK, "none")
    if trouble is None:
        nvml = load_nvml()
        try:
            return Finding("gpu", Level.OK, f"{Gpus(nvml).open()} devices")
        except nvml.NVMLError as fault:
            trouble = f"the driver does not answer: {fault}"
    advice = "pip install 'scriptfleet[gpu]', and let a container share the host's process numbers (hostPID)"
    return Finding("gpu", Level.WARN, f"not measured: {trouble}", advice)


def _isolation() -> Iterator[Finding]:
    for feature in Feature:
        found = capability(feature)
        advice = "jobs that ask for it are refused here: run the worker as root"
        if feature in (Feature.MOUNTS, Feature.NETWORK):
            advice += ", or install bubblewrap (bwrap)"
        if found.way is None:
            yield Finding("isolation", Level.WARN, f"{feature}: not available: {found.why}", advice)
        else:
            yield Finding("isolation", Level.OK, f"{feature}: {found.way}")


def _present(what: str, is_there: bool, advice: str) -> Finding:
    return Finding(what, Level.OK, "available") if is_there else Finding(what, Level.WARN, "not available", advice)


def _has_pidfd() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


def _has_subreaper() -> bool:
    try:
        prctl = ctypes.CDLL(None).prctl
    except AttributeError:
        return False
    return bool(prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(ctypes.c_int()), 0, 0, 0) == 0)


def _broker(settings: Settings) -> Iterator[Finding]:
    try:
        broker = Broker(settings)
        version = check_server(broker.redis, broker.url)
        yield Finding("broker", Level.OK, f"{without_password(broker.url)}, version {version}")
        with told_plainly(broker.url):
            info = broker.redis.info()
            seconds, micros = broker.redis.time()
            skew = time.time() - seconds - micros / 1e6
            workers = FleetView(broker.redis, broker.keys).workers()
    except ScriptfleetError as fault:
        yield Finding("broker", Level.FAIL, str(fault), "start one with `scriptfleet up`, or set SCRIPTFLEET_REDIS_URL")
        return
    yield _eviction(info)
    yield _persistence(info)
    yield _clock(skew)
    slots = sum(worker.slots for worker in workers)
    if workers:
        yield Finding("workers", Level.OK, f"{len(workers)} alive, {slots} slots")
    else:
        yield Finding("workers", Level.WARN, "none alive: jobs will wait", "start one with `scriptfleet worker`")


def _eviction(info: dict[str, Any]) -> Finding:
    policy, limit = info.get("maxmemory_policy", "unknown"), int(info.get("maxmemory", 0))
    if policy == "noeviction":
        return Finding("eviction", Level.OK, policy)
    level = Level.FAIL if limit else Level.WARN
    return Finding("eviction", level, f"{policy}: jobs may be thrown away", "set maxmemory-policy to noeviction")


def _persistence(info: dict[str, Any]) -> Finding:
    if int(info.get("aof_enabled", 0)):
        return Finding("persistence", Level.OK, "append-only file")
    return Finding("persistence", Level.WARN, "no append-only file: a restart loses jobs", "set appendonly to yes")


def _clock(skew_seconds: float) -> Finding:
    found = f"{abs(skew_seconds) * 1000:.0f} ms off the broker's"
    if abs(skew_seconds) < _SKEW_WARN_SECONDS:
        return Finding("clock", Level.OK, found)
    return Finding("clock", Level.WARN, found, "synchronise both clocks: delays and expiry go by them")


def _database(settings: Settings) -> Finding:
    shown = without_password(settings.store_url())
    try:
        # A machine that only submits has no database library.
        from scriptfleet.cli import stored_jobs  # noqa: PLC0415

        with stored_jobs.opened(settings):
            return Finding("database", Level.OK, f"{shown}, schema current")
    except ModuleNotFoundError as fault:
        return Finding("database", Level.WARN, f"{fault.name} is not installed", "pip install 'scriptfleet[store]'")
    except ScriptfleetError as fault:
        return Finding(
            "database", Level.FAIL, str(fault), "run `scriptfleet db upgrade`, or set SCRIPTFLEET_DATABASE_URL"
        )
