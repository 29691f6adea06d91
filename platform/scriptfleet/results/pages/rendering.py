"""Makes HTML of templates. All that varies is escaped; nothing of a page is a script of its own."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scriptfleet.domain.role import Actor, Role
from scriptfleet.results import shown
from scriptfleet.results.errors import Problem
from scriptfleet.results.pages.advice import advice_on
from scriptfleet.results.pages.static_files import StaticFiles

FOLDER: Final = Path(__file__).parent
_FILTERS = (
    shown.printable,
    shown.duration,
    shown.mebibytes,
    shown.size,
    shown.moment_text,
    shown.moment_iso,
    shown.ago,
)


class Renderer:
    """Renders templates."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update({one.__name__: one for one in _FILTERS})
        #: What the pages load.
        self.files = StaticFiles()
        self._templates.globals |= {"NOTHING": shown.NOTHING, "static": self.files.address, "clock": time.time}

    def page(self, request: Request, name: str, **values: object) -> HTMLResponse:
        """Render a page for who asks."""
        return HTMLResponse(self.text(name, **self.around(request), **values))

    def problem(self, state: Mapping[str, Any], problem: Problem, detail: str) -> HTMLResponse:
        """Show what went wrong; ``state`` is what is known of the request by then."""
        shown = {"problem": problem, "detail": detail, "advice": advice_on(problem)}
        # Of those whom nobody knows the log has nothing.
        number = "" if problem.status is HTTPStatus.UNAUTHORIZED else state.get("request_id", "")
        text = self.text("problem.html", **_around(state, ""), **shown, request_id=number)
        return HTMLResponse(text, int(problem.status))

    def text(self, name: str, **values: object) -> str:
        """Render a template, or a part of a page."""
        return self._templates.get_template(name).render(**values)

    @staticmethod
    def around(request: Request) -> dict[str, object]:
        """Give what each page shows of who asks."""
        return _around(request.scope["state"], request.url.path)


def _around(state: Mapping[str, Any], path: str) -> dict[str, object]:
    actor = state.get("actor")
    role = actor.role if isinstance(actor, Actor) else None
    return {
        "actor": actor,
        "may_operate": role is not None and role.includes(Role.OPERATOR),
        "is_admin": role is Role.ADMIN,
        "path": path,
        "csrf_token": state.get("csrf_token", ""),
    }
