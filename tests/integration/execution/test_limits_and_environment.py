"""Limits end a run by their name; the environment of a script holds what it may see and no more."""

import json
from pathlib import Path

import pytest

from scriptfleet import State
from scriptfleet.execution.engine import Engine
from tests.engine_bench import Bench

BURN = "while True: pass"


def test_a_run_over_its_memory_limit_is_out_of_memory(bench: Bench) -> None:
    code = "import time\nheld = b'x' * (300 << 20)\ntime.sleep(60)"
    record = bench.python(code, limits={"memory_mb": 100})

    assert (record.outcome, record.usage.error_type) == (State.OUT_OF_MEMORY, "MemoryLimit")
    assert record.usage.error_message == "over its memory limit: 100 MiB"
    assert record.usage.memory_limit_mb == 100
    assert (record.usage.memory_percent or 0) > 100


def test_the_memory_of_all_processes_counts_together(bench: Bench) -> None:
    code = "import os, time\n[os.fork() for _ in range(2)]\nheld = b'x' * (40 << 20)\ntime.sleep(60)"

    assert bench.python(code, limits={"memory_mb": 120}).outcome is State.OUT_OF_MEMORY


def test_a_run_below_its_limits_is_left_alone(bench: Bench) -> None:
    limits = {"memory_mb": 500, "cpu_seconds": 10, "processes": 10, "open_files": 64, "file_size_bytes": 10_000}
    record = bench.python("held = b'x' * (100 << 20)", limits=limits)

    assert record.outcome is State.SUCCEEDED
    assert record.usage.memory_percent == pytest.approx((record.usage.memory_max_mb or 0) / 5)


@pytest.mark.parametrize("limit", [0.5, 1.0])
def test_a_run_over_its_cpu_time_fails_by_that_name(bench: Bench, limit: float) -> None:
    record = bench.python(BURN, limits={"cpu_seconds": limit}, grace=0.2, timeout=20)

    assert (record.outcome, record.usage.error_type) == (State.FAILED, "CpuTimeLimit")
    assert record.usage.error_message == f"over its CPU time limit: {limit:g} s"
    assert limit * 0.95 <= (record.usage.cpu_seconds or 0) < limit + 1.0


def test_a_run_with_too_many_processes_fails_by_that_name(bench: Bench) -> None:
    code = "import subprocess\nall_of = [subprocess.Popen(['sleep', '60']) for _ in range(20)]\nall_of[0].wait()"
    record = bench.python(code, limits={"processes": 5}, timeout=20)

    assert (record.outcome, record.usage.error_type) == (State.FAILED, "ProcessLimit")


def test_open_files_and_file_sizes_are_limited_by_the_kernel(bench: Bench) -> None:
    files = bench.python("import os; [os.dup(1) for _ in range(100)]", limits={"open_files": 50})
    size = bench.python("open('f', 'wb').write(b'x' * 20_000)", limits={"file_size_bytes": 10_000})

    assert "Too many open files" in (files.usage.error_message or "")
    assert "File too large" in (size.usage.error_message or "")


def environment_seen(bench: Bench, **options: object) -> dict[str, str]:
    record = bench.python("import os, json; print(json.dumps(dict(os.environ)))", **options)  # type: ignore[arg-type]
    seen: dict[str, str] = json.loads(record.stdout.text)
    return seen


def test_the_worker_keeps_its_own_secrets(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "SCRIPTFLEET_REDIS_URL", "SCRIPTFLEET_SECRET_TOKEN", "PYTHONPATH"):
        monkeypatch.setenv(name, "of the worker")
    seen = environment_seen(bench)

    assert "of the worker" not in seen.values()
    assert "PATH" in seen


def test_loader_variables_are_dropped_wherever_they_come_from(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/tmp/evil")
    seen = environment_seen(bench, env={"LD_PRELOAD": "/tmp/evil.so", "GCONV_PATH": "/tmp", "LDAP_URL": "kept"})

    assert not {"LD_PRELOAD", "LD_LIBRARY_PATH", "GCONV_PATH"} & seen.keys()
    assert seen["LDAP_URL"] == "kept"


def test_a_run_knows_which_one_it_is_and_cannot_be_told_otherwise(bench: Bench) -> None:
    seen = environment_seen(bench, env={"SCRIPTFLEET_ATTEMPT": "99", "MINE": "hällo\nthere"})

    assert seen["SCRIPTFLEET_ATTEMPT"] == "1"
    assert len(seen["SCRIPTFLEET_JOB_ID"]) == 36
    assert len(seen["SCRIPTFLEET_RUN_ID"]) == 32
    assert seen["MINE"] == "hällo\nthere"


def test_a_secret_that_was_named_arrives_and_others_do_not(engine: Engine, tmp_path: Path) -> None:
    bench = Bench(engine, tmp_path, secrets={"TOKEN": "s3cret-value", "OTHER": "hidden-value"})
    record = bench.python("import os; print(len(os.environ['TOKEN']), 'OTHER' in os.environ)", secrets=["TOKEN"])

    assert record.stdout.text == "12 False\n"


def test_a_secret_that_is_not_there_keeps_the_run_from_starting(bench: Bench) -> None:
    record = bench.python("print(1)", secrets=["NOPE"])

    assert (record.outcome, record.usage.error_type) == (State.REJECTED, "SecretMissing")
    assert "SCRIPTFLEET_SECRET_NOPE" in (record.usage.error_message or "")
    assert record.usage.stdout_size_bytes is None
