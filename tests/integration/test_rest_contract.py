"""The service keeps what its description promises, whatever it is sent: tried by Schemathesis, the same each time."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from scriptfleet.domain.run import Artifact
from scriptfleet.domain.state import State
from scriptfleet.storage.engine import open_store
from scriptfleet.storage.ingest_store import IngestStore
from scriptfleet.storage.migrate import upgrade
from tests import event_factory as make
from tests.fleet_parts import Fleet

#: What no schema can say, 422 tells: rules between fields, such as a limit that goes with a key or the one way to run a
#: job, what a cursor is, which moments and metrics there are, which parameters a definition has. All else that fits
#: the schema is taken; bytes and ranges may be gone all the same.
_NOT_ALL_SAID = (
    "/(audit|dead|export|jobs|runs|batch|jobs/cancel|execute)$|/jobs/[^/]*/(runs|rerun)$"
    "|/metrics|/definitions/[^/]*(/jobs)?$"
)
_CONFIG = f"""
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "410", "416", "429", "5xx"]
[[operations]]
include-path-regex = '{_NOT_ALL_SAID}'
checks.positive_data_acceptance.enabled = false
"""
#: They last as long as whoever follows wants; and one that waits for a worker, of which this fleet has none: what is
#: made up here is never run.
_ENDLESS = "/(follow|live|execute)$"
_TOKEN = "a-token-for-the-contract"
_HEADER = f"Authorization: Bearer {_TOKEN}"
_BOUNDS = {"seed": 1, "request-timeout": 30}
JOB, RUN, KEPT = "0a6e9f0e-5d83-4d0b-8f3c-0c2b9e2a7f10", "a" * 32, Artifact("plot.png", 6000, "c" * 64)
#: With these, what asks for one job or run finds it.
_KNOWN = f'[parameters]\n"path.job_id" = "{JOB}"\n"path.run_id" = "{RUN}"\n"path.name" = "{KEPT.name}"\n'


@pytest.fixture(scope="module")
def url(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that asks for a token, with one job in its store."""
    home = tmp_path_factory.mktemp("contract")
    fleet = Fleet(home, redis_url, "rest-contract", f"sqlite:///{home / 'store.db'}")
    fleet.settings["SCRIPTFLEET_API_TOKEN"] = _TOKEN
    _store_one(fleet.database_url)
    try:
        yield fleet.server().url
    finally:
        fleet.stop()


def _store_one(database_url: str) -> None:
    upgrade(database_url)
    database = open_store(database_url)
    record = make.record(JOB, RUN, State.FAILED, artifacts=[KEPT], output_data={"rows": [1, None]})
    events = [make.submitted(JOB, make.shell_spec(labels={"team": "ops"})), make.claimed(JOB, RUN)]
    IngestStore(database).apply([*events, make.output(JOB, RUN, b"caf\xe9\n"), make.finished(record)])
    database.close()


def test_whatever_is_sent_the_answer_is_one_that_the_description_has(url: str, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(_CONFIG)
    _try(url, tmp_path, "examples,coverage,fuzzing,stateful", "--max-examples", "4")


def test_what_is_there_is_answered_as_the_description_says(url: str, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(_KNOWN + _CONFIG)
    known = r"\{(job_id|run_id)\}"
    _try(url, tmp_path, "fuzzing", "--max-examples", "6", "--include-path-regex", known, "--mode", "positive")


def _try(url: str, folder: Path, phases: str, *more: str) -> None:
    description = folder / "openapi.json"
    description.write_text(json.dumps(_without_waits(url)))
    bounds = [word for name, value in _BOUNDS.items() for word in (f"--{name}", str(value))]
    what = ["--phases", phases, "--exclude-path-regex", _ENDLESS, *more]
    program = str(Path(sys.executable).with_name("schemathesis"))
    command = [program, "run", str(description), "--url", url, "-H", _HEADER, "--no-color", *bounds, *what]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]


def _without_waits(url: str) -> dict[str, Any]:
    """Give the description without ``?wait=``: nothing ends here, and it would be waited for."""
    found: dict[str, Any] = httpx.get(
        f"{url}/api/v1/openapi.json", headers=dict([_HEADER.split(": ")]), timeout=60
    ).json()
    for path in found["paths"].values():
        for operation in path.values():
            parameters = operation.get("parameters", [])
            operation["parameters"] = [one for one in parameters if one["name"] != "wait"]
    return found
