"""The cookie of a session: no script reads it, no other site's form sends it, and over HTTPS nothing else."""

from starlette.responses import Response

_PLAIN = "scriptfleet_session"
#: With this beginning, browsers take a cookie over HTTPS alone and from this very host alone.
_SECURE = f"__Host-{_PLAIN}"


def cookie_name(scheme: str) -> str:
    """Give the cookie's name; ``scheme`` is what the browser speaks, also where a trusted proxy stands between."""
    return _SECURE if scheme == "https" else _PLAIN


def set_cookie(answer: Response, scheme: str, secret: str, seconds: float) -> None:
    """Have the browser keep a session's secret for so long."""
    # Lax, not Strict: a link in a message leads to the page, not to the login. Changes have guards of their own.
    answer.set_cookie(
        cookie_name(scheme),
        secret,
        max_age=int(seconds),
        path="/",
        secure=scheme == "https",
        httponly=True,
        samesite="lax",
    )


def clear_cookie(answer: Response, scheme: str) -> None:
    """Have the browser forget it."""
    answer.delete_cookie(cookie_name(scheme), path="/", secure=scheme == "https", httponly=True, samesite="lax")
