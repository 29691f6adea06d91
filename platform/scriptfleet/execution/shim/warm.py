"""A script in a fork of an interpreter that has its imports already: as if it had been started afresh.

What a fresh start would give is put back: arguments, folder, environment, standard streams, signal handlers, random
state, ``sys.path`` and ``__main__``. What cannot be: the hash seed, and changes that an import made to the process.
"""

import builtins
import gc
import importlib
import io
import os
import signal
import sys
import traceback
import types
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from typing import Any, NoReturn

from scriptfleet.execution.shim import ending, shadowing
from scriptfleet.execution.shim.first_line import FirstLine

_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)
#: A shim and what it was forked from have handlers of their own for these.
_OWN = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def preload(modules: Sequence[str]) -> str:
    """Import modules; give what went wrong, or nothing."""
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as fault:
            # A module may raise anything at its import; whoever asked for it is told.
            return f"cannot preload {module}: {type(fault).__name__}: {fault}"
    # The first call sets up the types of syntax trees, a third of what a fork does until its script's first line.
    compile("", "<nothing>", "exec")
    # What is here now stays for ever: the collector need not touch it, so its pages stay shared.
    gc.collect()
    gc.freeze()
    return ""


def run_script(argv: Sequence[str], env: dict[str, str], first_line: FirstLine | None = None) -> NoReturn:
    """Run ``argv[0]`` as a script in this process, which is a fork made for it; ends the process as Python would.

    When the script comes to its ``first_line`` is noted.
    """
    if shadowing.is_shadowed([*_own_folder(argv[0], env), *_said_path(env)]):
        _start_afresh(argv, env)
    before = frozenset(sys.modules) - {"__main__"}
    _put_back(argv, env)
    code = 1
    try:
        code = _run_main(argv[0], first_line)
    finally:
        os._exit(ending.end(code, before))


def _start_afresh(argv: Sequence[str], env: dict[str, str]) -> NoReturn:
    """Become a fresh interpreter: this one has modules that it would not find."""
    for signum in (*_IGNORED, *_OWN):
        signal.signal(signum, signal.SIG_DFL)
    os.execve(sys.executable, [sys.executable, *argv], env)  # noqa: S606


def _run_main(path: str, first_line: FirstLine | None) -> int:
    main = types.ModuleType("__main__")
    loader = SourceFileLoader("__main__", path)
    main.__dict__.update(__file__=path, __builtins__=builtins, __cached__=None, __loader__=loader, __annotations__={})
    sys.modules["__main__"] = main
    try:
        with io.open_code(path) as file:
            source = file.read()
        if b"\0" in source:
            _run_compiled(path)
        else:
            code = compile(source, path, "exec")
            if first_line is not None:
                first_line.note()
            exec(code, main.__dict__)  # noqa: S102
    except SystemExit as fault:
        return _exit_code(fault.code)
    except BaseException as fault:
        return _report(fault)
    return 0


def _run_compiled(path: str) -> None:
    """Run what is no text: an archive of modules, which is the folder of its script, or a compiled script."""
    # Few scripts are.
    import pkgutil  # noqa: PLC0415
    import runpy  # noqa: PLC0415

    if pkgutil.get_importer(path) is not None and os.path.dirname(path) in sys.path[:1]:
        del sys.path[0]
    runpy.run_path(path, run_name="__main__")


def _report(fault: BaseException) -> int:
    """Show a fault as the interpreter would: without our own frame, through the script's excepthook."""
    trace = fault.__traceback__.tb_next if fault.__traceback__ else None
    try:
        sys.excepthook(type(fault), fault.with_traceback(trace), trace)
    except SystemExit as said:
        return _exit_code(said.code)
    except Exception:
        traceback.print_exc()
    # As a fresh interpreter ends after Ctrl-C.
    return 128 + signal.SIGINT if isinstance(fault, KeyboardInterrupt) else 1


def _exit_code(said: object) -> int:
    if said is None:
        return 0
    if isinstance(said, int):
        return said & 0xFF
    print(said, file=sys.stderr)  # noqa: T201
    return 1


def _put_back(argv: Sequence[str], env: dict[str, str]) -> None:
    _new_path(_own_folder(argv[0], env), dict(os.environ), env)
    _forget_absent_folders()
    os.environ.clear()
    os.environ.update(env)
    signal.set_wakeup_fd(-1)
    for signum in _OWN:
        signal.signal(signum, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for signum in _IGNORED:
        signal.signal(signum, signal.SIG_IGN)
    sys.argv, sys.orig_argv = list(argv), [sys.executable, *argv]
    _new_streams(bool(env.get("PYTHONUNBUFFERED")))
    _new_random_state()


def _new_path(own_folder: list[str], before: dict[str, str], env: dict[str, str]) -> None:
    """Have modules sought where a fresh interpreter would; ``before`` is the environment that this one began in."""
    path, own, was_said = list(sys.path), sys.argv[1], set(_said_path(before))
    if own in path:
        # Where this package lies was added last, by our own words.
        del path[len(path) - 1 - path[::-1].index(own)]
    path = [one for one in path if one not in was_said]
    sys.path[:] = [*own_folder, *dict.fromkeys([*_said_path(env), *path])]


def _own_folder(script: str, env: dict[str, str]) -> list[str]:
    return [] if env.get("PYTHONSAFEPATH") else [os.path.dirname(os.path.realpath(script))]


def _forget_absent_folders() -> None:
    """Have folders sought again that were not there when a module was last sought in them."""
    for path, finder in list(sys.path_importer_cache.items()):
        if finder is None:
            del sys.path_importer_cache[path]


def _said_path(env: dict[str, str]) -> list[str]:
    said = env.get("PYTHONPATH", "")
    # An empty part is the working folder.
    return [os.path.abspath(part) for part in said.split(os.pathsep)] if said else []


def _new_streams(is_unbuffered: bool) -> None:
    """Open the standard streams anew, as the interpreter does at its start: see PYTHONUNBUFFERED."""
    size = 0 if is_unbuffered else -1
    # As this interpreter found them for its own, by locale and PYTHONIOENCODING; one without its own streams has none.
    (encoding, errors), (told, _) = _text_of(sys.__stdout__), _text_of(sys.__stderr__)
    made: dict[str, Any] = {
        "stdin": io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding, errors),
        "stdout": _writer(1, size, encoding, errors, is_unbuffered),
        "stderr": _writer(2, size, told, "backslashreplace", True),
    }
    for name, stream in made.items():
        # As the interpreter names them: a script may print them, or ask for their mode.
        getattr(stream.buffer, "raw", stream.buffer).name = f"<{name}>"
        stream.mode = "r" if name == "stdin" else "w"
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _text_of(stream: Any) -> tuple[str, str]:
    return ("utf-8", "strict") if stream is None else (stream.encoding, stream.errors)


def _writer(fd: int, size: int, encoding: str, errors: str, is_direct: bool) -> io.TextIOWrapper:
    raw: Any = io.FileIO(fd, "w", closefd=False)
    return io.TextIOWrapper(raw if size == 0 else io.BufferedWriter(raw), encoding, errors, write_through=is_direct)


def _new_random_state() -> None:
    """Two forks of one interpreter would draw the same numbers."""
    if "random" in sys.modules:
        sys.modules["random"].seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
