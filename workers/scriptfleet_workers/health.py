"""A worker's own /livez, /readyz and /metrics, on a port that is asked for; by the standard library alone."""

import logging
import os
import resource
import threading
import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import scriptfleet
from scriptfleet.domain.worker_state import WorkerState
from scriptfleet_workers.tally import JOBS_REFUSED, ORDERS_REFUSED, RUNS, Tally
from scriptfleet_workers.vital_signs import VitalSigns

log = logging.getLogger("scriptfleet.health")

#: Of a client that says nothing; and how many are served at once.
_SILENT_SECONDS: Final = 5.0
_MOST_CLIENTS: Final = 16
_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class HealthServer:
    """Serves the probes of Kubernetes and Prometheus. They tell how the worker is, and of no job."""

    def __init__(self, host: str, port: int, name: str, signs: VitalSigns, tally: Tally) -> None:
        """Listen; port 0 is a free one. Raises OSError."""
        handler = type("Handler", (_Handler,), {"worker": name, "signs": signs, "tally": tally})
        self._server = _Server((host, port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    def start(self) -> None:
        """Start serving."""
        self._thread.start()
        host, port = self._server.server_address[:2]
        log.info("health_served url=http://%s:%d", host if isinstance(host, str) else host.decode(), port)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments: object) -> None:
        self._places = threading.BoundedSemaphore(_MOST_CLIENTS)
        super().__init__(*arguments)  # type: ignore[arg-type]

    def process_request_thread(self, request: object, client_address: object) -> None:
        # Who opens connections and says nothing must not have a thread each.
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)  # type: ignore[arg-type]
            return
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        log.info("health_client_gone address=%s", client_address)


class _Handler(BaseHTTPRequestHandler):
    worker: str
    signs: VitalSigns
    tally: Tally
    timeout = _SILENT_SECONDS
    server_version, sys_version = "scriptfleet", ""

    def do_GET(self) -> None:
        """Answer."""
        if self.path == "/livez":
            self._tell(self.signs.why_not_alive())
        elif self.path == "/readyz":
            self._tell(self.signs.why_not_ready())
        elif self.path == "/metrics":
            self._answer(HTTPStatus.OK, "".join(exposition(self.worker, self.signs, self.tally)), _METRICS_TYPE)
        else:
            self._answer(HTTPStatus.NOT_FOUND, "not found: /livez, /readyz and /metrics are here\n")

    do_HEAD = do_GET

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name above
        """Say nothing of each probe."""

    def _tell(self, trouble: str) -> None:
        status = HTTPStatus.SERVICE_UNAVAILABLE if trouble else HTTPStatus.OK
        self._answer(status, f"{trouble or 'ok'}\n")

    def _answer(self, status: HTTPStatus, text: str, content_type: str = "text/plain; charset=utf-8") -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def exposition(name: str, signs: VitalSigns, tally: Tally) -> Iterable[str]:
    """Give the lines of /metrics, in Prometheus' text form."""
    usage, state = resource.getrusage(resource.RUSAGE_SELF), signs.standing.state()
    info = {_labels(worker=name, version=scriptfleet.__version__): 1.0}
    yield from _family("scriptfleet_worker_info", "gauge", "This worker.", info)
    states = {_labels(state=one): float(one is state) for one in WorkerState}
    yield from _family("scriptfleet_worker_state", "gauge", "1 for the state that it is in.", states)
    yield from _plain("scriptfleet_worker_slots", "Runs that it takes at once.", signs.body.slots)
    yield from _plain("scriptfleet_worker_running", "Runs that it has claimed and not reported.", len(signs.active))
    for counted, what in ((RUNS, "outcome"), (JOBS_REFUSED, "reason"), (ORDERS_REFUSED, "reason")):
        counts = {_labels(**{what: label}): float(count) for label, count in tally.read(counted).items()}
        yield from _family(f"scriptfleet_worker_{counted}_total", "counter", _MEANING[counted], counts)
    since = time.monotonic() - signs.canary.heard_at
    yield from _plain("scriptfleet_worker_canary_age_seconds", "Since a message was last read.", since)
    yield from _plain(
        "scriptfleet_worker_broker_memory_ratio", "Of the broker's memory limit.", signs.pressure.fullness / 100
    )
    yield from _plain("process_start_time_seconds", "Start, since the epoch.", signs.started_at)
    yield from _plain("process_resident_memory_bytes", "Resident memory.", _resident_bytes())
    cpu = {"": usage.ru_utime + usage.ru_stime}
    yield from _family("process_cpu_seconds_total", "counter", "CPU time, user and system.", cpu)


_MEANING: Final = {
    RUNS: "Runs that ended.",
    JOBS_REFUSED: "Jobs that were not run for what they are.",
    ORDERS_REFUSED: "Orders that were not obeyed.",
}


def _plain(name: str, what: str, value: float) -> Iterable[str]:
    return _family(name, "gauge", what, {"": float(value)})


def _family(name: str, kind: str, what: str, values: Mapping[str, float]) -> Iterable[str]:
    yield f"# HELP {name} {what}\n# TYPE {name} {kind}\n"
    for labels, value in values.items():
        yield f"{name}{labels} {value:.17g}\n"


def _labels(**labels: str) -> str:
    shown = (f'{name}="{_escaped(str(value))}"' for name, value in labels.items())
    return "{" + ",".join(shown) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
