"""The end of a script in a fork: all that an interpreter does at its own end, but for what was there before the fork.

In the order of Py_FinalizeEx: threads, exit functions, streams, signal handlers, then modules and all that they alone
hold - so that a file which a script never closed is written, and ``__del__`` called. To free also what was preloaded
would take as long as its import saved.
"""

import atexit
import contextlib
import gc
import io
import signal
import sys
import threading
import traceback
import types
import weakref
from _thread import _count
from collections.abc import Callable, Collection

#: As the interpreter ends when its streams could not be flushed, whatever the script's own code was.
_NOT_FLUSHED = 120
_FILES = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
_OF_FAULTS = ("last_exc", "last_type", "last_value", "last_traceback")


def end(code: int, before: Collection[str]) -> int:
    """End all but the process; ``before`` names the modules that were there before the script. Give the exit code."""
    for step in (threading._shutdown, atexit._run_exitfuncs):  # type: ignore[attr-defined]
        _tried(step)
    was_flushed = _flush_streams()
    _forget_handlers()
    _let_go(before)
    return code if _flush_streams() and was_flushed else _NOT_FLUSHED


def _tried(step: Callable[[], object]) -> bool:
    try:
        step()
    except BaseException:
        # Of the script's, and whatever it may be: the end goes on, as the interpreter's own does.
        with contextlib.suppress(Exception):
            traceback.print_exc()
        return False
    return True


def _flush_streams() -> bool:
    there = [one for one in (sys.stdout, sys.stderr) if one is not None and not getattr(one, "closed", False)]
    return [_tried(one.flush) for one in there].count(False) == 0


def _forget_handlers() -> None:
    for signum in signal.valid_signals():
        if callable(signal.getsignal(signum)):
            signal.signal(signum, signal.SIG_DFL)


def _let_go(before: Collection[str]) -> None:
    """Let go of the script's modules, the last ones first where they hold each other."""
    for name in _OF_FAULTS:
        sys.__dict__.pop(name, None)
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__
    # This one puts what holds others before them, in which order the next one ends them: a file before its descriptor.
    gc.collect()
    there = [_dropped(name) for name in list(sys.modules) if name not in before]
    gc.collect()
    # A thread that still runs would find its names gone; the interpreter lets none run any more.
    if _count() == 0:
        for one in reversed(there):
            if one is not None and (module := one()) is not None:
                _clear(module)
        gc.collect()
    _flush_files()


def _dropped(name: str) -> "weakref.ref[types.ModuleType] | None":
    module = sys.modules.pop(name)
    return weakref.ref(module) if isinstance(module, types.ModuleType) else None


def _clear(module: types.ModuleType) -> None:
    """Set all names to None, those that begin with one underscore first, as _PyModule_Clear does."""
    names = sorted(module.__dict__, key=lambda name: not name.startswith("_") or name.startswith("__"))
    for name in names:
        if name != "__builtins__":
            module.__dict__[name] = None


def _flush_files() -> None:
    """Write what is left in files that something preloaded holds, which stays."""
    for one in gc.get_objects():
        if type(one) in _FILES:
            # Nobody is there to be told.
            with contextlib.suppress(Exception):
                one.flush()
