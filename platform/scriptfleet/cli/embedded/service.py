"""Asks the results service of this machine over HTTP."""

import http.client
import json
from typing import Any, Final
from urllib.parse import urlsplit

from scriptfleet.errors import ScriptfleetError

_ANSWER_SECONDS: Final = 10.0


class Service:
    """The results service at an address such as http://127.0.0.1:8080."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> tuple[int, str]:
        """Give status and text of an answer. Raises ScriptfleetError when none comes."""
        # No proxy of the environment has a part in this, as urllib would have it.
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_ANSWER_SECONDS)
        try:
            connection.request("GET", path, headers=self._headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as fault:
            raise ScriptfleetError(f"the results service does not answer GET {path}: {fault}") from fault
        finally:
            connection.close()

    def get_json(self, path: str) -> tuple[int, dict[str, Any]]:
        """Give status and object of an answer; empty when it is none."""
        status, text = self.get(path)
        try:
            found = json.loads(text)
        except ValueError:
            found = {}
        return status, found if isinstance(found, dict) else {}

    def metric_lines(self, name: str, label: str) -> list[str]:
        """Give the lines of /metrics of this metric that carry the label."""
        _, text = self.get("/metrics")
        return [line for line in text.splitlines() if line.startswith(f"{name}{{") and label in line]
