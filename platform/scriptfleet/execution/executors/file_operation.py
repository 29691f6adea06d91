"""File operations: done by a process of their own, confined to the run's folder and what the worker's owner allows."""

import json

from scriptfleet.domain.job import JobSpec
from scriptfleet.execution.program import Place, Program, own_program


class FileOperation:
    """A small program that copies, moves, deletes or creates."""

    def program(self, spec: JobSpec, place: Place) -> Program:
        """Write the operation beside the run's folder and start the program that does it."""
        call = place.folder / "operation.json"
        roots = [str(root) for root in (place.work, *place.rules.file_roots)]
        call.write_text(json.dumps({"operation": spec.config, "roots": roots}))
        return Program(own_program("file_operation_main", str(call)))
