"""Logging in with a token, in a browser; who one is; and logging out."""

from typing import Annotated, Protocol
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from scriptfleet.domain.role import Role
from scriptfleet.results.access.audit import address_of, audit
from scriptfleet.results.access.cookie import clear_cookie, set_cookie
from scriptfleet.results.access.cross_site import form_of
from scriptfleet.results.access.guard import LOGIN
from scriptfleet.results.access.keyring import LOCAL, Keyring
from scriptfleet.results.access.needs import needs, open_to_all
from scriptfleet.results.access.tries import Tries

HOME = "/"
#: What each role may beside what those before it may, for the account page.
_MAYS = {
    Role.VIEWER: "look at jobs, runs and the fleet",
    Role.OPERATOR: "submit and cancel jobs, give orders to queues and workers",
    Role.ADMIN: "read the audit log, make and revoke tokens",
}
_LONGEST_NEXT = 2048
_MOST_FORM_BYTES = 16 * 1024


class Show(Protocol):
    """Renders a page by the name of its template."""

    def __call__(self, request: Request, name: str, **values: object) -> HTMLResponse:
        """Give the page for who asks."""


async def _form(request: Request) -> dict[str, str]:
    # The dependency of a route that is not async itself: only here can the body be read.
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MOST_FORM_BYTES:
            return {}
    return form_of(bytes(body))


def login_routes(keyring: Keyring, tries: Tries, show: Show) -> APIRouter:
    """Give the routes of the login page and of the account page."""
    router = APIRouter(include_in_schema=False)
    _add_login(router, keyring, tries, show)
    _add_account(router, keyring, show)
    return router


def _add_login(router: APIRouter, keyring: Keyring, tries: Tries, show: Show) -> None:
    @router.get(LOGIN, dependencies=[open_to_all])
    def show_login(request: Request, wanted: Annotated[str, Query(alias="next")] = HOME) -> Response:
        if request.state.actor is LOCAL:
            return RedirectResponse(local_path(wanted), 303)
        return show(request, "login.html", wanted=local_path(wanted), fault="")

    @router.post(LOGIN, dependencies=[open_to_all])
    def log_in(request: Request, form: Annotated[dict[str, str], Depends(_form)]) -> Response:
        wanted, address = local_path(form.get("next", HOME)), address_of(request.scope) or ""
        wait = tries.begin(address)
        if wait is not None:
            refused = _refused(show, request, wanted, f"Too many tries: wait {wait} s.", 429)
            refused.headers["Retry-After"] = str(wait)
            return refused
        begun = keyring.begin_session(form.get("token", "").strip())
        if begun is None:
            audit(request, "login", LOGIN)
            return _refused(show, request, wanted, "This token is not known, or no longer good.", 401)
        tries.succeeded(address)
        if request.state.session:
            keyring.end_session(request.state.session)
        request.state.actor = begun.actor
        audit(request, "login", LOGIN)
        answer = RedirectResponse(wanted, 303)
        set_cookie(answer, request.scope["scheme"], begun.secret, begun.seconds)
        return answer


def _refused(show: Show, request: Request, wanted: str, fault: str, status: int) -> HTMLResponse:
    answer = show(request, "login.html", wanted=wanted, fault=fault)
    answer.status_code = status
    return answer


def _add_account(router: APIRouter, keyring: Keyring, show: Show) -> None:
    @router.get("/account", dependencies=[needs(Role.VIEWER)])
    def show_account(request: Request) -> HTMLResponse:
        return show(request, "account.html", has_session=bool(request.state.session), mays=_MAYS)

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
