"""``scriptfleet completion``: prints what makes the shell complete verbs, options and file names."""

import argparse

import shtab

from scriptfleet import __version__
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.cli.verbs import VERBS, load

_FILES = {
    "script": shtab.FILE,
    "json_output": shtab.FILE,
    "history_db": shtab.FILE,
    "output": shtab.FILE,
    "archive": shtab.DIRECTORY,
    "config": shtab.FILE,
    "working_dir": shtab.DIRECTORY,
}


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument("shell", choices=("bash", "zsh"))
    parser.show_examples('eval "$(scriptfleet completion bash)"', "scriptfleet completion zsh > ~/.zfunc/_scriptfleet")


def execute(chosen: Namespace) -> int:
    """Print the script for the shell."""
    print(shtab.complete(_whole_parser(), shell=chosen.shell))
    return 0


def _whole_parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="scriptfleet")
    whole.add_argument("--version", action="version", version=__version__)
    verbs = whole.add_subparsers(dest="verb", parser_class=VerbParser)
    for name, summary in VERBS.items():
        parser = verbs.add_parser(name, help=summary)
        try:
            load(name).build(parser)
        except ModuleNotFoundError:
            # The verb is offered all the same: calling it says what to install.
            continue
        _complete_files(parser)
    return whole


def _complete_files(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                _complete_files(inner)
        elif action.dest in _FILES:
            # shtab reads this attribute.
            action.complete = _FILES[action.dest]  # type: ignore[attr-defined]
