"""What a function is called where a worker is to find it."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from scriptfleet.errors import InvalidValue


def function_name(function: str | Callable[..., Any]) -> tuple[str, str]:
    """Give module and name of a function, or of ``module:function``. Raises InvalidValue for what no worker finds."""
    if isinstance(function, str):
        module, _, name = function.partition(":")
        if not name:
            raise InvalidValue("function", function, "module:function")
        return module, name
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    if module in {"", "__main__"} or "<" in name:
        raise InvalidValue("function", repr(function), "a function at the top of a module that the worker can import")
    if not callable(inspect.getattr_static(importlib.import_module(module), name.split(".")[0])):
        raise InvalidValue("function", name, "a function")
    return str(module), str(name)
