"""Who may ask which route: written by hand, so that a new route, or another role of one, is seen by a reader."""

from scriptfleet.domain.role import Role

_OPEN = """
GET       /healthz
GET,POST  /login
GET       /readyz
GET       /icon.svg
GET       /style.css
"""
_VIEWER = """
GET       /
GET,HEAD  /.well-known/api-catalog
GET       /account
GET       /api/v1/dead
GET       /api/v1/definitions
GET       /api/v1/definitions/{name}
GET       /api/v1/definitions/{name}/versions
GET       /api/v1/export
GET       /api/v1/jobs
GET       /api/v1/jobs/{job_id}
GET       /api/v1/jobs/{job_id}/runs
GET       /api/v1/live
GET       /api/v1/load
GET       /api/v1/metrics
GET       /api/v1/metrics/{metric}/aggregates
GET       /api/v1/metrics/{metric}/buckets
GET       /api/v1/metrics/{metric}/values
GET       /api/v1/openapi.json
GET       /api/v1/queues
GET       /api/v1/queues/{queue}/load
GET       /api/v1/runs
GET       /api/v1/runs/{run_id}
GET       /api/v1/runs/{run_id}/artifacts
GET       /api/v1/runs/{run_id}/artifacts/{name:path}
GET       /api/v1/runs/{run_id}/output
GET       /api/v1/runs/{run_id}/output/follow
GET       /api/v1/runs/{run_id}/processes
GET       /api/v1/runs/{run_id}/samples
GET       /api/v1/workers
GET       /api/v1/workers/{name}
GET       /compare
GET       /dead
GET       /definitions
GET       /definitions/{name}
GET       /fleet
GET       /fleet/events
GET       /jobs/{job_id}
GET       /jobs/{job_id}/events
POST      /logout
GET       /metrics
GET       /openapi.json
GET       /overview/events
GET       /runs
GET       /runs/{run_id}
GET       /runs/{run_id}/events
GET       /schedules
GET       /script
GET       /static/{name}
GET       /submit
"""
_OPERATOR = """
DELETE    /api/v1/dead/{job_id}
POST      /api/v1/dead/{job_id}/replay
DELETE,PUT /api/v1/definitions/{name}
POST      /api/v1/definitions/{name}/jobs
POST      /api/v1/execute
POST      /api/v1/jobs
POST      /api/v1/jobs/batch
POST      /api/v1/jobs/cancel
POST      /api/v1/jobs/{job_id}/cancel
POST      /api/v1/jobs/{job_id}/rerun
POST      /api/v1/jobs/{job_id}/retry
POST      /api/v1/queues/{queue}/pause
POST      /api/v1/queues/{queue}/purge
POST      /api/v1/queues/{queue}/resume
POST      /api/v1/workers/{name}/cordon
POST      /api/v1/workers/{name}/drain
POST      /api/v1/workers/{name}/uncordon
POST      /dead/{job_id}/remove
POST      /dead/{job_id}/replay
POST      /definitions/{name}/jobs
POST      /jobs/{job_id}/cancel
POST      /jobs/{job_id}/rerun
POST      /queues/{queue}/{order}
POST      /submit
POST      /workers/{worker}/{order}
"""
_ADMIN = """
GET       /api/v1/audit
GET       /audit
GET,POST  /tokens
POST      /tokens/revoke
"""


def _read(role: Role | None, table: str) -> dict[tuple[str, str], Role | None]:
    rows = (line.split() for line in table.strip().splitlines())
    return {(method, path): role for methods, path in rows for method in methods.split(",")}


#: By method and path; no role means that anybody may.
ROLES = _read(None, _OPEN) | _read(Role.VIEWER, _VIEWER) | _read(Role.OPERATOR, _OPERATOR) | _read(Role.ADMIN, _ADMIN)
