"""HTTP requests: sent by a process of their own, so that limits, time-out and cancel hold as for any script."""

import json

from scriptfleet.domain.job import JobSpec
from scriptfleet.execution.program import Place, Program, own_program


class HttpRequest:
    """A small program that sends the request and prints the body of the answer."""

    def program(self, spec: JobSpec, place: Place) -> Program:
        """Write the request beside the run's folder, secrets by name alone, and start the program that sends it."""
        call = place.folder / "request.json"
        call.write_text(json.dumps({"request": spec.config, "allow": place.rules.http_allow}))
        return Program(own_program("http_request_main", str(call)))
