"""What a job runs, as far as its spec says it: a name and a text for each thing."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from scriptfleet.domain.http_request import without_query
from scriptfleet.domain.masked_source import masked_source
from scriptfleet.domain.masking import without_secrets
from scriptfleet.results import shown

#: An argument may be a whole file.
_LONGEST: Final = 4000


def what_rows(spec: Mapping[str, Any], secret_prefixes: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Give name and text of each thing that a spec says of what is run.

    Its variables and settings are masked by now. A command is a script: what looks like a secret is hidden here too.
    """
    config = spec.get("config") or {}
    said = {
        "Command": _told(str(config.get("command") or ""), secret_prefixes),
        "Shell": config.get("shell"),
        "Function": _function(config),
        "Called with": _called_with(config),
        "Request": _request(config),
        "Headers": ", ".join(sorted(config.get("headers") or ())),
        "Operation": config.get("operation"),
        "From": config.get("source"),
        "To": config.get("destination"),
        "Arguments": _told(" ".join(spec.get("args") or ()), secret_prefixes),
        "Interpreter": spec.get("interpreter"),
        "Warm": "yes" if spec.get("warm") else None,
        "Folder": spec.get("working_dir"),
        "Variables": _variables(spec.get("env") or {}),
        "Secrets": ", ".join(spec.get("secrets") or ()),
    }
    return [(name, _short(shown.printable(str(value)))) for name, value in said.items() if value]


def _told(text: str, secret_prefixes: Sequence[str]) -> str:
    # A little more than is shown, so that a secret at the end of that has an end of its own.
    return masked_source(text[: 2 * _LONGEST], secret_prefixes)


def _function(config: Mapping[str, Any]) -> str | None:
    return f"{config['module']}:{config['function']}" if "function" in config else None


def _called_with(config: Mapping[str, Any]) -> str | None:
    if "function" not in config:
        return None
    given = [json.dumps(one, ensure_ascii=False) for one in without_secrets(config.get("args") or [])]
    named = without_secrets(config.get("kwargs") or {}).items()
    return ", ".join([*given, *(f"{name}={json.dumps(one, ensure_ascii=False)}" for name, one in named)])


def _request(config: Mapping[str, Any]) -> str | None:
    if "url" not in config:
        return None
    return f"{config.get('method', 'GET')} {without_query(config['url'])}"


def _variables(env: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in env.items())


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
