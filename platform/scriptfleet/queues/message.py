"""The Celery message of a job: protocol 2, as kombu's Redis transport would put it into a list.

The body never changes: the task finds its job by the message's id. What does change is marked @LIKE_THIS@ and filled
in by Lua at admission (queues/lua/admission.lua), so a waiting job costs no message.
"""

import base64
import json
from typing import Any

_BODY = [[], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]


def template() -> str:
    """Give the message's text with its marks: @ID@ @TAG@ @QUEUE@ @TASK@ @NAME@ @ARGS@, each a JSON string."""
    headers: dict[str, Any] = {
        "lang": "py",
        "task": "@TASK@",
        "id": "@ID@",
        "shadow": "@NAME@",
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": "@ID@",
        "parent_id": None,
        "argsrepr": "@ARGS@",
        "kwargsrepr": "",
        "origin": "scriptfleet",
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
    properties: dict[str, Any] = {
        "correlation_id": "@ID@",
        "reply_to": "",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "@QUEUE@"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": "@TAG@",
    }
    message = {
        "body": base64.b64encode(json.dumps(_BODY).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": properties,
    }
    text = json.dumps(message)
    for mark in ("ID", "TAG", "QUEUE", "TASK", "NAME", "ARGS"):
        text = text.replace(f'"@{mark}@"', f"@{mark}@")
    return text


def task_name(kind: str) -> str:
    """Give the Celery task that runs jobs of this kind."""
    return f"scriptfleet.{kind}"


def message(task: str, message_id: str, queue: str) -> str:
    """Give a whole message of a task that takes no arguments."""
    marks = {"ID": message_id, "TAG": message_id, "QUEUE": queue, "TASK": task, "NAME": task, "ARGS": ""}
    text = template()
    for mark, value in marks.items():
        text = text.replace(f"@{mark}@", json.dumps(value))
    return text
