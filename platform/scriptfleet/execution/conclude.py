"""From how a run ended and what was read of it to its record. Pure but for reading the kept output."""

import datetime
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.masking import mask_data, mask_text
from scriptfleet.domain.outcome import StopReason, Verdict, judge
from scriptfleet.domain.run import OutputTail, RunRecord
from scriptfleet.domain.state import State
from scriptfleet.domain.usage import Usage
from scriptfleet.domain.value import replace
from scriptfleet.execution.cgroups.group import GroupReading
from scriptfleet.execution.ended import Account, Ended, StreamCount
from scriptfleet.execution.identity import Identity
from scriptfleet.execution.monitor.watched import Watched
from scriptfleet.execution.plain_file import open_plain
from scriptfleet.execution.shim.capture import cut_note
from scriptfleet.late_log import late_log

TAIL_BYTES: Final = 64 * 1024
_MIB: Final = 1024 * 1024
#: The kernel counts resident pages per CPU and adds up in batches: two readings of one number differ by so much.
_COUNTER_KB: Final = 256
_BLOCK_BYTES: Final = 512
log = late_log("scriptfleet.output")

_NO_OUTPUT: Final = OutputTail("")
_MOST_RESULT_BYTES: Final = 1024 * 1024
#: Lists and objects in each other.
_MOST_LEVELS: Final = 200


class Facts(NamedTuple):
    """All that a run left behind."""

    ended: Ended
    watched: Watched
    stdout: Path
    stderr: Path
    python_version: str | None
    result: Path | None


def conclude(who: Identity, spec: JobSpec, facts: Facts) -> RunRecord:
    """Make the record of a run that was started."""
    ended = facts.ended
    for stream, count in (("stdout", ended.stdout), ("stderr", ended.stderr)):
        if count.trouble:
            log.warning("output_cut run=%s stream=%s reason=%s", who.run_id, stream, count.trouble)
    stdout, stderr = _tail(facts.stdout, ended.stdout), _tail(facts.stderr, ended.stderr)
    verdict = judge(ended.exit_code, ended.signal, ended.stopped, _detail(spec, ended.stopped), stderr.text)
    output_data, verdict = _output_data(facts.result, verdict)
    usage = _usage(who, spec, facts, verdict)
    return RunRecord(
        run_id=who.run_id,
        job_id=who.job_id,
        attempt=who.attempt,
        worker=who.worker,
        host=who.host,
        outcome=verdict.outcome,
        usage=usage,
        stdout=stdout,
        stderr=stderr,
        output_data=output_data,
        curve=list(facts.watched.curve.points()),
        queue=who.queue,
        process_tree=facts.watched.snapshots.kept,
    )


def not_started(who: Identity, outcome: State, error_type: str, message: str, at: float) -> RunRecord:
    """Make the record of a run whose script never started, or whose account was lost; ``at`` is the wall clock."""
    moment = _iso(at)
    usage = Usage(
        start_time=moment,
        end_time=moment,
        success=False,
        error_type=error_type,
        error_message=message,
        platform=this_platform(),
        queue_wait_seconds=who.queue_wait_seconds,
    )
    whose = (who.run_id, who.job_id, who.attempt, who.worker, who.host)
    return RunRecord(*whose, outcome, usage, queue=who.queue)


def masked(record: RunRecord, hidden: Sequence[bytes]) -> RunRecord:
    """Give the record with secrets hidden in all that a script can write into it; its output is masked as it comes."""
    if not hidden:
        return record
    usage = replace(
        record.usage,
        error_message=mask_data(record.usage.error_message, hidden),
        error_type=mask_data(record.usage.error_type, hidden),
        custom={mask_text(name, hidden): value for name, value in record.usage.custom.items()},
    )
    return replace(
        record,
        usage=usage,
        output_data=mask_data(record.output_data, hidden),
        artifacts=[replace(one, name=mask_text(one.name, hidden)) for one in record.artifacts],
        report_faults=[mask_text(fault, hidden) for fault in record.report_faults],
    )


def tail_of(path: Path, cut_bytes: int, note: bytes = b"") -> OutputTail:
    """Give the end of a stream's kept output, decoded with replacement.

    ``note`` stands in the file where ``cut_bytes`` were cut: what of it is not shown was no output.
    Raises OSError when there is no such file, or it is no plain one.
    """
    with open_plain(path) as kept:
        size = kept.seek(0, 2)
        start = max(0, size - TAIL_BYTES)
        before = min(start, len(note))
        kept.seek(start - before)
        content = kept.read()
    at = content.rfind(note)
    hidden_note = before if at < 0 else max(0, before - at)
    return OutputTail(content[before:].decode("utf-8", "replace"), cut_bytes + start - hidden_note)


@cache
def this_platform() -> str:
    """Give what runs here, such as Linux-6.1-x86_64."""
    libc = _libc()
    if libc:
        host = os.uname()
        return f"{host.sysname}-{host.release}-{host.machine}-with-{libc}"
    # It asks a program for what is known here already.
    import platform  # noqa: PLC0415

    return platform.platform()


def _libc() -> str:
    """Give what the system's C library says that it is, such as glibc2.36; nothing where it does not."""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").replace(" ", "")
    except (ValueError, OSError):
        return ""


def _tail(path: Path, count: StreamCount) -> OutputTail:
    if not count.size_bytes:
        return _NO_OUTPUT
    # Where the disk was full there was no room for a note.
    note = cut_note(count.cut_bytes) if count.cut_bytes and not count.trouble else b""
    try:
        return tail_of(path, count.cut_bytes, note)
    except OSError:
        # Nothing was written, so there is no file; or the script has put something else in its place.
        return OutputTail("", count.size_bytes)


def _usage(who: Identity, spec: JobSpec, facts: Facts, verdict: Verdict) -> Usage:
    ended = facts.ended
    return Usage(
        start_time=_iso(ended.started_wall),
        end_time=_iso(ended.ended_wall),
        execution_time_seconds=ended.seconds,
        exit_code=ended.exit_code,
        signal=ended.signal,
        success=verdict.outcome is State.SUCCEEDED,
        error_message=verdict.error_message,
        error_type=verdict.error_type,
        python_version=facts.python_version,
        platform=this_platform(),
        queue_wait_seconds=who.queue_wait_seconds,
        start_overhead_seconds=ended.first_line_seconds,
        **_accounted(ended),
        **_memory(facts.watched, ended, spec.limits.memory_mb),
        **_waits(ended.group),
        **_watched(facts.watched),
        **_streams(ended.stdout, ended.stderr),
    )


def _accounted(ended: Ended) -> dict[str, Any]:
    account = ended.account
    user, system = _split(ended.cpu_seconds, account)
    return {
        "user_time_seconds": user,
        "system_time_seconds": system,
        "cpu_avg": 100.0 * ended.cpu_seconds / ended.seconds if ended.seconds > 0 else None,
        "cpu_method": ended.method,
        "page_faults_minor": account.minor_faults,
        "page_faults_major": account.major_faults,
        "voluntary_context_switches": account.voluntary_switches,
        "involuntary_context_switches": account.involuntary_switches,
        "block_io_read_bytes": account.blocks_in and account.blocks_in * _BLOCK_BYTES,
        "block_io_write_bytes": account.blocks_out and account.blocks_out * _BLOCK_BYTES,
        "io_method": None if account.blocks_in is None else "rusage",
        "network_rx_bytes": ended.network and ended.network[0],
        "network_tx_bytes": ended.network and ended.network[1],
    }


def _split(total: float, account: Account) -> tuple[float, float]:
    """Share the exact total out as the kernel's account has it: groups split theirs in ticks of 10 ms only."""
    accounted = account.user_seconds + account.system_seconds
    if accounted <= 0:
        return total, 0.0
    return total * account.user_seconds / accounted, total * account.system_seconds / accounted


def _memory(watched: Watched, ended: Ended, limit_mb: float | None) -> dict[str, Any]:
    """Give the peak: the greater of the sampled sum over the tree and the kernel's peak of one process.

    A process inherits the peak of the one that started it, here the shim; a kernel's peak that is not above the
    shim's own says nothing about the script and is not used.
    """
    sampled = watched.rss_max_bytes
    is_own = ended.account.peak_kb > ended.own_peak_kb + _COUNTER_KB
    kernel = ended.account.peak_kb * 1024 if is_own else None
    peak = max((value for value in (sampled, kernel) if value is not None), default=None)
    peak_mb = _mib(peak)
    return {
        "memory_max_mb": peak_mb,
        "memory_avg_mb": _mib(watched.rss_avg_bytes),
        "memory_min_mb": _mib(watched.rss_min_bytes),
        "memory_charged_max_mb": _mib(ended.group.charged_peak_bytes) if ended.group else None,
        "memory_method": None if peak is None else ("rusage" if peak == kernel else "sampled"),
        "memory_limit_mb": limit_mb,
        "memory_percent": None if peak_mb is None or not limit_mb else 100.0 * peak_mb / limit_mb,
    }


def _waits(group: GroupReading | None) -> dict[str, Any]:
    stalled = dict(group.stalled_seconds) if group else {}
    waits = {f"{kind}_stalled_seconds": stalled.get(kind) for kind in ("cpu", "memory", "io")}
    return {"cpu_throttled_seconds": group.throttled_seconds if group else None, **waits}


def _mib(size_bytes: float | None) -> float | None:
    return None if size_bytes is None else size_bytes / _MIB


def _watched(watched: Watched) -> dict[str, Any]:
    return {
        "cpu_max": watched.cpu_max,
        "cpu_min": watched.cpu_min,
        "num_threads": watched.threads or None,
        "num_fds": watched.files or None,
        "pids_count": watched.processes or None,
        "pids_method": "sampled" if watched.processes else None,
        "gpu_util_max": watched.gpu.util_max,
        "gpu_memory_max_mb": watched.gpu.memory_max_mb,
    }


def _streams(stdout: StreamCount, stderr: StreamCount) -> dict[str, Any]:
    return {
        "stdout_lines": stdout.lines,
        "stderr_lines": stderr.lines,
        "stdout_size_bytes": stdout.size_bytes,
        "stderr_size_bytes": stderr.size_bytes,
    }


def _detail(spec: JobSpec, stopped: StopReason | None) -> str:
    """Name the bound that a run went over."""
    limits = spec.limits
    bounds = {
        StopReason.TIMEOUT: f"{spec.timeout_seconds:g} s" if spec.timeout_seconds else "",
        StopReason.MEMORY: f"{limits.memory_mb:g} MiB" if limits.memory_mb else "",
        StopReason.CPU_TIME: f"{limits.cpu_seconds:g} s" if limits.cpu_seconds else "",
        StopReason.PROCESSES: str(limits.processes or ""),
    }
    return bounds.get(stopped, "") if stopped else ""


def _output_data(result: Path | None, verdict: Verdict) -> tuple[Any, Verdict]:
    if result is None or verdict.outcome is not State.SUCCEEDED:
        return None, verdict
    try:
        return _result_in(result), verdict
    except (OSError, ValueError, RecursionError) as fault:
        return None, Verdict(State.FAILED, "ResultMissing", f"the function ended without a result ({fault})")


def _result_in(path: Path) -> Any:
    """Read what a function returned. Raises OSError for no plain file; ValueError or RecursionError for no JSON."""
    with open_plain(path) as kept:
        content = kept.read(_MOST_RESULT_BYTES + 1)
    if len(content) > _MOST_RESULT_BYTES:
        raise ValueError(f"it returned more than {_MOST_RESULT_BYTES:,} bytes of JSON")
    # Functions alone return something.
    import json  # noqa: PLC0415

    found = json.loads(content.decode())
    # Whoever reads the record later may stand deeper in calls of its own than this.
    if content.count(b"[") + content.count(b"{") > _MOST_LEVELS and _is_deeper(found, _MOST_LEVELS):
        raise ValueError(f"it returned data of more than {_MOST_LEVELS} levels")
    return found


def _is_deeper(data: object, most: int) -> bool:
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else None
    return inner is not None and (not most or any(_is_deeper(one, most - 1) for one in inner))


def _iso(wall: float) -> str:
    return datetime.datetime.fromtimestamp(wall).astimezone().isoformat()
