"""What Prometheus' own checker says of all that is scraped: names, units, types, help."""

import shutil
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from scriptfleet.storage.engine import open_store
from tests import event_factory as make
from tests.conftest import missing
from tests.e2e.test_worker_health import SERVED, url_of
from tests.fleet_parts import Fleet
from tests.results_service import Service, running


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        missing("promtool (Debian's prometheus)")
    return str(found)


@pytest.fixture
def service(sqlite_url: str) -> Iterator[Service]:
    database = open_store(sqlite_url)
    with running(database) as found:
        yield found
    database.close()


def complaints(promtool: str, text: str) -> str:
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_services_metrics_keep_the_conventions(promtool: str, service: Service) -> None:
    hostile = make.whole_job(make.shell_spec('a"b\\c\n} 1'))
    for run in service.store.apply([*make.whole_job(), *hostile]):
        service.metrics.observe(run)
    text = service.client.get("/metrics").text

    assert "scriptfleet_runs_total{" in text
    assert "scriptfleet_script_runs_total{" in text
    assert "scriptfleet_queue_depth{" in text
    assert complaints(promtool, text) == ""


def test_a_workers_metrics_keep_the_conventions(promtool: str, fleet: Fleet) -> None:
    url = url_of(fleet.worker("w1", env=SERVED))
    fleet.client().submit_shell("true").wait(20)
    text = httpx.get(f"{url}/metrics").text

    assert "scriptfleet_worker_slots" in text
    assert complaints(promtool, text) == ""


def test_a_name_against_the_conventions_is_complained_of(promtool: str) -> None:
    assert "counter" in complaints(promtool, "# HELP bad_things Bad things.\n# TYPE bad_things counter\nbad_things 1\n")
