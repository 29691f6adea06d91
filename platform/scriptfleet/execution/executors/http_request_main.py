"""Started as a process by the http_request executor: one request, its redirects, the body to standard output.

Exit 0 when the status is one that is expected (2xx and 3xx unless the job says which), else 1. Where it may go is
decided on the address that is really connected to, after the name was resolved, anew at each redirect. Proxies are not
used.
"""

import json
import signal
import sys
import time
from http.client import HTTPException, HTTPResponse
from types import FrameType
from typing import Any, Final, NoReturn

from scriptfleet import report
from scriptfleet.config import own_environment
from scriptfleet.domain.http_allow import AllowList
from scriptfleet.domain.http_request import check_request, filled, without_query
from scriptfleet.errors import ScriptfleetError
from scriptfleet.execution.executors.http_exchange import Exchange, Request, first_request, redirected

_DEFAULT_SECONDS: Final = 60.0
_MOST_REDIRECTS: Final = 10
_CHUNK: Final = 65_536


class _Failed(ScriptfleetError):
    """The request came to nothing."""


def main() -> None:
    """Read the call that is named last on the command line, and answer with the exit code."""
    with open(sys.argv[-1], encoding="utf-8") as call_file:
        call = json.load(call_file)
    config = call["request"]
    seconds = config.get("timeout_seconds", _DEFAULT_SECONDS)
    signal.signal(signal.SIGALRM, _on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    shown = without_query(config["url"])
    try:
        status = _sent(config, AllowList.parse(call["allow"]))
    except TimeoutError:
        _fail(f"no whole answer from {shown} within {seconds:g} s: raise timeout_seconds, or look at the server")
    except (OSError, HTTPException, UnicodeError) as fault:
        _fail(f"no answer from {shown}: {_reason(fault)}: check the address, and that this worker can reach it")
    except ScriptfleetError as fault:
        _fail(str(fault))
    sys.exit(0 if _is_expected(status, config.get("expect")) else 1)


def _sent(config: dict[str, Any], allow: AllowList) -> int:
    """Send the request and follow redirects; give the last status."""
    started = time.monotonic()
    whole = filled(config, _secret)
    # What came from the environment must be fit for a header as well.
    check_request(whole)
    request = first_request(whole)
    for _ in range(_MOST_REDIRECTS + 1):
        with Exchange(request, allow) as answer:
            following = redirected(request, answer)
            if following is None:
                _tell(request, answer, started)
                return answer.status
        request = following
    raise _Failed(f"more than {_MOST_REDIRECTS} redirects from {without_query(config['url'])}: look at the server")


def _tell(request: Request, answer: HTTPResponse, started: float) -> None:
    """Print the answer, and report its status, size and time."""
    size = 0
    # Before the body, so that an answer that breaks off is still told by its status.
    print(f"{request.method} {request.shown}: {answer.status} {answer.reason}", file=sys.stderr, flush=True)  # noqa: T201
    report.metric("http.status", answer.status)
    while piece := answer.read1(_CHUNK):
        size += len(piece)
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
    if answer.length:
        raise _Failed(f"the answer from {request.shown} broke off, {answer.length:,} bytes short: try again")
    report.metric("http.response_bytes", size)
    report.metric("http.seconds", time.monotonic() - started)


def _is_expected(status: int, expect: list[int] | None) -> bool:
    return status in expect if expect else 200 <= status < 400  # noqa: PLR2004


def _secret(name: str) -> str:
    value = own_environment().get(name)
    if value is None:
        raise _Failed(f"secret {name} is not in the environment of the run: name it among the job's secrets")
    return value


def _reason(fault: Exception) -> str:
    return getattr(fault, "strerror", None) or str(fault) or type(fault).__name__


def _on_alarm(_signum: int, _frame: FrameType | None) -> None:
    raise TimeoutError


def _fail(message: str) -> NoReturn:
    sys.stdout.flush()
    print(message, file=sys.stderr)  # noqa: T201
    sys.exit(1)
