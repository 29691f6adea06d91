"""Started as a script by the python_function executor: makes one call and writes what it returned."""

import importlib
import json
import sys
from typing import Any


def main(call_path: str) -> None:
    """Read the call, make it, write the result as JSON. What the function raises ends this process as usual."""
    with open(call_path, encoding="utf-8") as call_file:
        call = json.load(call_file)
    # The run's own folder comes first, as it does for a script that lies in it.
    sys.path[0] = ""
    target: Any = importlib.import_module(call["module"])
    for part in call["function"].split("."):
        target = getattr(target, part)
    result = json.dumps(target(*call["args"] or (), **call["kwargs"] or {}))
    with open(call["result"], "w", encoding="utf-8") as result_file:
        result_file.write(result)


if __name__ == "__main__":
    main(sys.argv[1])
