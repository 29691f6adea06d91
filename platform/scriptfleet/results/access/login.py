"""Logging in with a token, in a browser; who one is; and logging out."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scriptfleet.domain.role import Role
from scriptfleet.results.access.audit import address_of, audit
from scriptfleet.results.access.cookie import clear_cookie, set_cookie
from scriptfleet.results.access.cross_site import form_of
from scriptfleet.results.access.guard import LOGIN
from scriptfleet.results.access.keyring import LOCAL, Keyring
from scriptfleet.results.access.needs import actor_of, needs, open_to_all
from scriptfleet.results.access.tries import Tries

_FOLDER = Path(__file__).with_name("templates")
HOME = "/"
_LONGEST_NEXT = 2048
_MOST_FORM_BYTES = 16 * 1024


class LoginPages:
    """Renders the pages of access, which know nothing of what they guard."""

    def __init__(self) -> None:
        self._templates = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined)

    def login(self, wanted: str, fault: str = "", status: int = 200) -> HTMLResponse:
        """Show the form."""
        return self._render("login.html", status, wanted=wanted, fault=fault)

    def account(self, request: Request) -> HTMLResponse:
        """Show who one is."""
        state = request.state
        return self._render(
            "account.html", actor=actor_of(request), csrf_token=state.csrf_token, has_session=state.session
        )

    def _render(self, name: str, status: int = 200, /, **values: object) -> HTMLResponse:
        return HTMLResponse(self._templates.get_template(name).render(**values), status)


async def _form(request: Request) -> dict[str, str]:
    # The dependency of a route that is not async itself: only here can the body be read.
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MOST_FORM_BYTES:
            return {}
    return form_of(bytes(body))


def login_routes(keyring: Keyring, tries: Tries) -> APIRouter:
    """Give the routes of the login page and of the account page."""
    router = APIRouter(include_in_schema=False)
    _add_login(router, keyring, tries, LoginPages())
    _add_account(router, keyring, LoginPages())
    return router


def _add_login(router: APIRouter, keyring: Keyring, tries: Tries, pages: LoginPages) -> None:
    @router.get(LOGIN, dependencies=[open_to_all])
    def show_login(request: Request, wanted: Annotated[str, Query(alias="next")] = HOME) -> Response:
        if request.state.actor is LOCAL:
            return RedirectResponse(local_path(wanted), 303)
        return pages.login(local_path(wanted))

    @router.post(LOGIN, dependencies=[open_to_all])
    def log_in(request: Request, form: Annotated[dict[str, str], Depends(_form)]) -> Response:
        wanted, address = local_path(form.get("next", HOME)), address_of(request.scope) or ""
        wait = tries.begin(address)
        if wait is not None:
            answer: Response = pages.login(wanted, f"Too many tries: wait {wait} s.", 429)
            answer.headers["Retry-After"] = str(wait)
            return answer
        begun = keyring.begin_session(form.get("token", "").strip())
        if begun is None:
            audit(request, "login", LOGIN)
            return pages.login(wanted, "This token is not known, or no longer good.", 401)
        tries.succeeded(address)
        if request.state.session:
            keyring.end_session(request.state.session)
        request.state.actor = begun.actor
        audit(request, "login", LOGIN)
        answer = RedirectResponse(wanted, 303)
        set_cookie(answer, request.scope["scheme"], begun.secret, begun.seconds)
        return answer


def _add_account(router: APIRouter, keyring: Keyring, pages: LoginPages) -> None:
    @router.get("/account", dependencies=[needs(Role.VIEWER)])
    def show_account(request: Request) -> HTMLResponse:
        return pages.account(request)

    @router.post("/logout", dependencies=[needs(Role.VIEWER)])
    def log_out(request: Request) -> RedirectResponse:
        if request.state.session:
            keyring.end_session(request.state.session)
        audit(request, "logout", LOGIN)
        answer = RedirectResponse(LOGIN, 303)
        clear_cookie(answer, request.scope["scheme"])
        return answer


def local_path(wanted: str) -> str:
    """Give where to go after the login: a path of this service, and the home page for anything else."""
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return HOME
    # Browsers read a backslash as a slash, and leave out tabs and line ends.
    is_plain = wanted.isprintable() and "\\" not in wanted and len(wanted) <= _LONGEST_NEXT
    is_local = wanted.startswith("/") and not wanted.startswith("//") and not parts.netloc and not parts.scheme
    is_page = parts.path not in {LOGIN, "/logout"}
    return quote(wanted, safe="/?&=%:@!$'()*+,;~-._#") if is_plain and is_local and is_page else HOME
