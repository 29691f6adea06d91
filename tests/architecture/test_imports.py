"""What importing costs, and what it must not bring along."""

import subprocess
import sys

import pytest

import scriptfleet

HEAVY = ("redis", "sqlalchemy", "celery", "kombu", "fastapi", "alembic", "msgspec", "psutil", "rich")


def _loaded_after(statement: str) -> set[str]:
    program = f"import sys\n{statement}\nprint(*sorted(name.partition('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert _loaded_after("import scriptfleet") & set(HEAVY) == set()


def test_importing_the_package_loads_none_of_its_rooms() -> None:
    program = "import sys, scriptfleet; print(*(name for name in sys.modules if name.startswith('scriptfleet.')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


def test_the_words_alone_load_nothing_heavy() -> None:
    assert _loaded_after("from scriptfleet import JobSpec, Limits, RetryPolicy, State, Usage") & set(HEAVY) == set()


def test_a_producer_loads_neither_celery_nor_sql() -> None:
    loaded = _loaded_after("from scriptfleet import Client, Job")

    assert loaded & set(HEAVY) == {"redis"}


def test_the_engine_loads_neither_redis_nor_celery_nor_sql() -> None:
    assert _loaded_after("import scriptfleet.execution.local") & set(HEAVY) <= {"psutil"}


def test_a_run_and_its_history_load_no_database_library() -> None:
    loaded = _loaded_after("import scriptfleet.cli.run, scriptfleet.cli.run_history")

    assert loaded & {*HEAVY, "yaml"} <= {"psutil"}


def test_a_shim_loads_no_large_part_of_the_standard_library() -> None:
    program = (
        "import sys; sys.path.append(sys.argv[1]); import scriptfleet.execution.shim.launcher; "
        "print(*sorted(name.partition('.')[0] for name in sys.modules))"
    )
    root = str(scriptfleet.__path__[0]).removesuffix("/scriptfleet")
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program, root], capture_output=True, text=True, check=True)

    assert (
        set(done.stdout.split()) & {"subprocess", "json", "socket", "logging", "asyncio", "threading", "ctypes"}
        == set()
    )


def test_a_worker_loads_nothing_that_celery_has_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPTFLEET_REDIS_URL", "redis://127.0.0.1:1/0")
    loaded = _loaded_after("import scriptfleet_workers.__main__")

    assert {"celery", "kombu", "redis"} <= loaded
    assert loaded & {"greenlet", "psutil", "yaml", "opentelemetry"} == set()


def test_what_is_left_out_can_be_loaded_later_and_what_is_loaded_stays() -> None:
    statement = "import yaml; from scriptfleet_workers.leave_out import left_out\nwith left_out(['yaml', 'psutil']):"
    refused = "\n try: import yaml, psutil\n except ImportError: print('refused')\nimport psutil"

    assert {"refused", "yaml", "psutil"} <= _loaded_after(statement + refused)


@pytest.mark.parametrize("name", scriptfleet.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(scriptfleet, name) is not None


def test_a_name_that_is_not_public_is_refused_by_name() -> None:
    with pytest.raises(AttributeError, match="Scheduler"):
        _ = scriptfleet.Scheduler


def test_the_public_names_are_listed_before_they_are_loaded() -> None:
    assert set(scriptfleet.__all__) <= set(dir(scriptfleet))
