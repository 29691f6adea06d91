"""What pages change: forms that are sent, each answered by sending the browser on."""

from collections.abc import Callable, Mapping
from typing import Annotated, Final, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse

from scriptfleet.domain.role import Role
from scriptfleet.errors import InvalidValue, JobNotFound
from scriptfleet.queues.orders import Order, Verb
from scriptfleet.queues.queue_control import QueueControl
from scriptfleet.results.access.audit import audit
from scriptfleet.results.access.login import local_path
from scriptfleet.results.access.needs import actor_of, needs
from scriptfleet.results.known_state import not_dead, unknown_to_broker
from scriptfleet.results.pages.forms import Form, read_form
from scriptfleet.results.pages.sources import Sources
from scriptfleet.results.rerun import submit_again
from scriptfleet.results.rest.workers import leave_order, worker_named

_SEE_OTHER: Final = 303
_ORDERS: Final = {"cordon": Verb.CORDON, "uncordon": Verb.UNCORDON, "drain": Verb.DRAIN}

_Known = TypeVar("_Known")
Sent = Annotated[Form, Depends(read_form)]


def action_routes(sources: Sources) -> APIRouter:
    """Give the routes that forms are sent to."""
    router = APIRouter(dependencies=[needs(Role.OPERATOR)])
    _add_job_actions(router, sources)
    _add_fleet_actions(router, sources)
    return router


def _add_job_actions(router: APIRouter, sources: Sources) -> None:
    client = sources.client

    @router.post("/jobs/{job_id}/cancel")
    def cancel(request: Request, job_id: str, form: Sent) -> RedirectResponse:
        audit(request, "job.cancel", job_id)
        if client.cancel([job_id]).get("gone"):
            raise unknown_to_broker(sources.jobs, job_id)
        return _back(form, f"/jobs/{quote(job_id, safe='')}")

    @router.post("/jobs/{job_id}/rerun")
    def rerun(request: Request, job_id: str, _form: Sent) -> RedirectResponse:
        job = submit_again(client, sources.jobs, job_id, submitted_by=actor_of(request).name)
        audit(request, "job.rerun", job_id, new_job=job.id)
        return _go("/jobs/{}?new=true", job.id)

    @router.post("/dead/{job_id}/replay")
    def replay(request: Request, job_id: str, _form: Sent) -> RedirectResponse:
        try:
            job = client.dead.replay(job_id, actor_of(request).name)
        except JobNotFound as fault:
            raise not_dead(client, sources.jobs, job_id) from fault
        audit(request, "dead.replay", job_id, new_job=job.id)
        return _go("/jobs/{}?new=true", job.id)

    @router.post("/dead/{job_id}/remove")
    def remove(request: Request, job_id: str, _form: Sent) -> RedirectResponse:
        audit(request, "dead.remove", job_id)
        client.dead.remove([job_id])
        return _go("/dead")


def _add_fleet_actions(router: APIRouter, sources: Sources) -> None:
    broker = sources.client.broker

    @router.post("/queues/{queue}/{order}")
    def order_queue(request: Request, queue: str, order: str, _form: Sent) -> RedirectResponse:
        control = QueueControl(broker, queue)
        known: dict[str, Callable[[], bool]] = {"pause": control.pause, "resume": control.resume}
        audit(request, f"queue.{order}", queue)
        _named("order", order, known)()
        return _go("/fleet")

    @router.post("/workers/{worker}/{order}")
    def order_worker(request: Request, worker: str, order: str, _form: Sent) -> RedirectResponse:
        verb = _named("order", order, _ORDERS)
        audit(request, f"worker.{verb}", worker)
        leave_order(broker, Order.now(verb, worker_named(broker, worker).name))
        return _go("/fleet?told={}&worker={}", verb, worker)


def _named(what: str, said: str, known: Mapping[str, _Known]) -> _Known:
    if said not in known:
        raise InvalidValue(what, said, f"one of {', '.join(known)}")
    return known[said]


def _back(form: Form, otherwise: str) -> RedirectResponse:
    """Send back to the page that a form was on."""
    return RedirectResponse(local_path(form.get("back") or otherwise), _SEE_OTHER)


def _go(path: str, *parts: str) -> RedirectResponse:
    return RedirectResponse(path.format(*(quote(part, safe="") for part in parts)), _SEE_OTHER)
