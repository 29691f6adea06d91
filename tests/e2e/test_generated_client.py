"""A client that a program makes from the description alone drives a real fleet."""

import subprocess
import sys
from pathlib import Path

import httpx

from tests.fleet_parts import Fleet

#: What its user writes; nothing in it is ours but the names that were generated.
PROGRAM = """
import sys, time
from fleet_client import AuthenticatedClient
from fleet_client.api.exports import export_runs
from fleet_client.api.jobs import get_job, list_jobs, submit_job
from fleet_client.api.output import get_output
from fleet_client.api.runs import get_samples
from fleet_client.models import ExportRunsFormat, JobDetail, NewJob, NewJobLabelsType0, Problem, Standing, State

with AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2], timeout=60) as client:
    labels = NewJobLabelsType0.from_dict({"team": "ops"})
    new = NewJob(code="print('café', 6 * 7)", timeout=60, labels=labels)
    job = submit_job.sync(client=client, body=new, wait="30s", idempotency_key="once")
    assert isinstance(job, Standing) and job.state is State.SUCCEEDED, job
    assert job.result.stdout == "café 42\\n" and job.result.usage["user_time_seconds"] > 0
    assert submit_job.sync(client=client, body=new, idempotency_key="once").job_id == job.job_id
    while not (found := get_job.sync(job.job_id, client=client, wait="1s")).is_stored or found.finished_at is None:
        time.sleep(0.05)
    assert isinstance(found, JobDetail) and found.runs[0].run_id == job.run_id, found
    while not (output := get_output.sync_detailed(job.run_id, client=client)).content:
        time.sleep(0.05)
    assert output.content == "café 42\\n".encode()
    assert get_output.sync_detailed(job.run_id, client=client, range_="bytes=-3").content == b"42\\n"
    assert [one.job_id for one in list_jobs.sync(client=client, label="team=ops").jobs] == [job.job_id]
    assert get_samples.sync(job.run_id, client=client).run_id == job.run_id
    rows = export_runs.sync_detailed(client=client, format_=ExportRunsFormat.JSONL).content.splitlines()
    assert len(rows) == 1
    lost = get_job.sync("nowhere", client=client)
    assert isinstance(lost, Problem) and (lost.code, lost.status) == ("job_not_found", 404), lost
    refused = submit_job.sync(client=client, body=NewJob())
    assert isinstance(refused, Problem) and refused.code == "invalid_value", refused
print("all of it worked")
"""


def test_a_generated_client_submits_waits_and_reads_output(fleet: Fleet, tmp_path: Path) -> None:
    fleet.settings["SCRIPTFLEET_API_TOKEN"] = "s3cret"
    server = fleet.server()
    fleet.worker()
    description = tmp_path / "openapi.json"
    description.write_bytes(
        httpx.get(f"{server.url}/api/v1/openapi.json", headers={"Authorization": "Bearer s3cret"}, timeout=60).content
    )

    # What it wrote need not be put into shape.
    (tmp_path / "plain.yaml").write_text("post_hooks: []")

    made = _run("-m", "openapi_python_client", "generate", "--path", str(description), *_OPTIONS, folder=tmp_path)
    used = _run("-c", PROGRAM, server.url, "s3cret", folder=tmp_path)

    assert "Warning" not in made, made
    assert used == "all of it worked\n"


_OPTIONS = ("--output-path", "fleet_client", "--meta", "none", "--config", "plain.yaml")


def _run(*words: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
