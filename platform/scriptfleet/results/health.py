"""Whether the process lives, and whether it can do its work."""

from collections.abc import Callable
from typing import Final, Literal, Protocol

import redis
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from scriptfleet.errors import BrokerUnreachable, StoreUnreachable
from scriptfleet.results.access.needs import open_to_all
from scriptfleet.storage.engine import Database

_BROKER_FAULTS = (redis.RedisError, BrokerUnreachable)


#: Whoever asks waits for some seconds only: a broker that does not answer by then is not well.
HEALTH_SECONDS: Final = 2.0


class Broker(Protocol):
    """What readiness asks of the broker."""

    def ping(self) -> object:
        """Ask for a sign of life."""


class IngestThread(Protocol):
    """What readiness asks of the ingest."""

    @property
    def trouble(self) -> str | None:
        """Why the last try failed; None when it went well."""

    def is_alive(self) -> bool:
        """Tell whether the thread runs."""

    def buried(self) -> int:
        """Give how many events were set aside."""


class Health:
    """Asks each part; an answer of None means well."""

    def __init__(self, database: Database, broker: Broker, ingest: IngestThread) -> None:
        self._database, self._broker, self._ingest = database, broker, ingest

    def troubles(self) -> dict[str, str | None]:
        """Give, for each part, what is wrong with it."""
        asked: dict[str, Callable[[], str | None]] = {
            "database": self._ask_database,
            "broker": self._ask_broker,
            "ingest": self._ask_ingest,
        }
        return {name: ask() for name, ask in asked.items()}

    def events_dead(self) -> int | None:
        """Give how many events no store could take; None while the broker is away."""
        try:
            return self._ingest.buried()
        except _BROKER_FAULTS:
            return None

    def _ask_database(self) -> str | None:
        try:
            self._database.ping()
        except StoreUnreachable as fault:
            return str(fault)
        return None

    def _ask_broker(self) -> str | None:
        try:
            self._broker.ping()
        except _BROKER_FAULTS as fault:
            return str(fault) or type(fault).__name__
        return None

    def _ask_ingest(self) -> str | None:
        if not self._ingest.is_alive():
            return f"the thread has ended: {self._ingest.trouble or 'it was stopped'}"
        return self._ingest.trouble


class Liveness(BaseModel):
    """Said by a process that lives."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """Whether each part works."""

    status: Literal["ready", "not ready"]
    parts: dict[str, str] = Field(description="By part: ok, or what is wrong; without a token `not ok`.")
    events_dead: int | None = Field(
        None, description="Events that no store could take; not told without a token, null while the broker is away."
    )


def health_routes(health: Health) -> APIRouter:
    """Give the routes for orchestrators; they need no token, and tell what is wrong only to who has it."""
    router = APIRouter(tags=["health"], dependencies=[open_to_all])

    @router.get("/healthz", summary="Whether the process lives")
    def healthz() -> Liveness:
        return Liveness(status="ok")

    @router.get(
        "/readyz",
        summary="Whether database, broker and ingest work",
        response_model=Readiness,
        responses={503: {"model": Readiness, "description": "A part does not work."}},
    )
    def readyz(request: Request) -> JSONResponse:
        troubles, is_trusted = health.troubles(), request.state.actor is not None
        is_ready = not any(troubles.values())
        shown = {name: (trouble if is_trusted else "not ok") if trouble else "ok" for name, trouble in troubles.items()}
        body: dict[str, object] = {"status": "ready" if is_ready else "not ready", "parts": shown}
        if is_trusted:
            # A broker that does not answer is not asked twice.
            body["events_dead"] = None if troubles["broker"] else health.events_dead()
        return JSONResponse(body, 200 if is_ready else 503)

    return router
