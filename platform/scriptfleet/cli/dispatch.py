"""Finds the verb, loads that verb's module alone, and turns every error into one line and an exit code."""

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Final

from scriptfleet import __version__
from scriptfleet.cli.loading import loading
from scriptfleet.cli.main import is_interrupt
from scriptfleet.cli.plain_words import USAGE_EXIT_CODE
from scriptfleet.cli.verbs import VERBS, load, missing_extra, parser_of, read_plainly
from scriptfleet.errors import InvalidValue, ScriptfleetError

#: The tool's own error, as against the script's.
OWN_ERROR_EXIT_CODE: Final = 125
_BROKEN_PIPE_EXIT_CODE: Final = 141

_HELP = """usage: scriptfleet VERB [options]

Run scripts on a fleet and know what each run cost.

verbs:
{verbs}

`scriptfleet VERB --help` shows a verb's options, with examples.
Exit codes of run, wait and submit --wait: the script's own (128+N when signal N
ended it); 124 timed out, 137 out of memory, 130 cancelled, 125 lost, rejected,
expired or an error of this tool; 2 wrong usage."""


def answer(words: Sequence[str]) -> int:
    """Run one command line as the whole of this process; give its exit code."""
    _make_output_safe()
    try:
        code = main(words)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return _BROKEN_PIPE_EXIT_CODE
    return code


def main(words: Sequence[str]) -> int:
    """Run one command line; every error that bad input or a missing part can cause becomes one line on stderr."""
    try:
        return _dispatch(words)
    except BrokenPipeError:
        raise
    except ScriptfleetError as fault:
        return _told(str(fault), USAGE_EXIT_CODE if isinstance(fault, InvalidValue) else OWN_ERROR_EXIT_CODE)
    except OSError as fault:
        return _told(f"the system refused: {fault}", OWN_ERROR_EXIT_CODE)
    except Exception as fault:
        if is_interrupt(fault):
            raise
        return _unexpected(fault)


def _dispatch(words: Sequence[str]) -> int:
    if not words or words[0] in {"-h", "--help", "help"}:
        print(_HELP.format(verbs="\n".join(f"  {name:<12}{summary}" for name, summary in VERBS.items())))
        return 0 if words else USAGE_EXIT_CODE
    if words[0] in {"-V", "--version"}:
        print(f"scriptfleet {__version__}")
        return 0
    return _call(words[0], words[1:])


def _call(name: str, words: Sequence[str]) -> int:
    if name not in VERBS:
        raise InvalidValue("verb", name, f"one of {', '.join(VERBS)}")
    with loading():
        chosen = read_plainly(name, words) or parser_of(name).read(words)
    return load(name).execute(chosen)


def _told(message: str, code: int) -> int:
    # Where stderr cannot be written the exit code says it alone.
    with contextlib.suppress(OSError):
        print(f"scriptfleet: {message}", file=sys.stderr)
    return code


def _unexpected(fault: Exception) -> int:
    if isinstance(fault, ModuleNotFoundError) and (missing := missing_extra(fault)):
        return _told(str(missing), OWN_ERROR_EXIT_CODE)
    # A fault of ours, shown whole so that it can be reported.
    import traceback  # noqa: PLC0415

    traceback.print_exception(fault)
    return OWN_ERROR_EXIT_CODE


def _make_output_safe() -> None:
    # print(file=None) would write to the other of the two.
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    # A terminal that is not UTF-8 shows what it cannot write escaped; nothing dies of it.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    # The interpreter flushes stdout once more at its end and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
