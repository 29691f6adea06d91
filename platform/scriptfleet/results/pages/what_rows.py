"""What a job runs, as far as its spec says it: a name and a text for each thing."""

import json
from collections.abc import Mapping
from typing import Any, Final

from scriptfleet.domain.http_request import without_query
from scriptfleet.domain.masking import without_secrets
from scriptfleet.results import shown

#: An argument may be a whole file.
_LONGEST: Final = 4000


def what_rows(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give name and text of each thing that a spec says of what is run; its secrets are masked by now."""
    config = spec.get("config") or {}
    said = {
        "Command": config.get("command"),
        "Shell": config.get("shell"),
        "Function": _function(config),
        "Called with": _called_with(config),
        "Request": _request(config),
        "Headers": ", ".join(sorted(config.get("headers") or ())),
        "Operation": config.get("operation"),
        "From": config.get("source"),
        "To": config.get("destination"),
        "Arguments": " ".join(spec.get("args") or ()),
        "Interpreter": spec.get("interpreter"),
        "Warm": "yes" if spec.get("warm") else None,
        "Folder": spec.get("working_dir"),
        "Variables": _variables(spec.get("env") or {}),
        "Secrets": ", ".join(spec.get("secrets") or ()),
    }
    return [(name, _short(shown.printable(str(value)))) for name, value in said.items() if value]


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
