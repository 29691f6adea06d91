"""What people may do when a page cannot be had, beside what the fault itself says."""

from collections.abc import Mapping
from typing import Final

from scriptfleet.results.errors import Problem

_GONE: Final = "The address may be mistyped, or what it led to is gone: retention says how long history is kept."
_OF_CODE: Final[Mapping[str, str]] = {
    "not_found": _GONE,
    "job_not_found": _GONE,
    "run_not_found": _GONE,
    "cross_site": "Go back, load the page again, and send it once more.",
    "role_too_low": "Log in with a token that allows it.",
    "body_too_large": "Send a smaller script, or hand the large part to it in another way.",
}
_OF_STATUS: Final[Mapping[int, str]] = {
    500: "Try it again. If it fails once more, tell whoever runs this service the number below: its log has it.",
    503: "Try it again in some seconds. If it stays like this, tell whoever runs this service.",
}


def advice_on(problem: Problem) -> str:
    """Give a sentence or two; empty where the fault says it all."""
    return _OF_CODE.get(problem.code) or _OF_STATUS.get(int(problem.status), "")
