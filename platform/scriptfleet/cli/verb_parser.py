"""How a verb reads its words: options of its own first, then a script whose own words are never touched."""

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from scriptfleet.cli.amounts import NotAccepted
from scriptfleet.cli.plain_words import USAGE_EXIT_CODE, Namespace

__all__ = ["Namespace", "VerbParser"]

_NEGATIVE = r"-\.?\d"

_SOME_WIDTH = 78


class VerbParser(argparse.ArgumentParser):
    """argparse, with one-line errors, examples in the help, and all words after SCRIPT left alone."""

    _is_built = False

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)
        self._actions_of_verb: argparse._SubParsersAction[VerbParser] | None = None
        self._words_before_script: int | None = None
        self._takes_rest = False

    def show_examples(self, *examples: str) -> None:
        """Put examples at the end of the help."""
        self.epilog = "examples:\n" + "\n".join(f"  {line}" for line in examples)

    def add_action(self, name: str, summary: str) -> "VerbParser":
        """Add one action of a verb that has several, such as ``schedule add``."""
        if self._actions_of_verb is None:
            self._actions_of_verb = self.add_subparsers(dest="action", metavar="ACTION", required=True)
        return self._actions_of_verb.add_parser(name, help=summary, description=f"{summary.capitalize()}.")

    def take_script(self, what: str, after: int = 0) -> None:
        """Let a script come after ``after`` other words; it and all that follows is kept as it is.

        The script is ``chosen.script``, or None; its words are ``chosen.arguments``.
        """
        self._words_before_script = after
        self.usage = f"%(prog)s {'NAME ' * after}[options] SCRIPT [ARG ...]"
        self.add_argument("script", nargs="?", metavar="SCRIPT", help=what)
        self.add_argument("arguments", nargs="*", metavar="ARG", help="arguments of the script, passed untouched")

    def take_rest(self, what: str) -> None:
        """Let ``--`` be followed by words that are kept as they are: ``chosen.rest``, None where there is no ``--``."""
        self._takes_rest = True
        self.description = f"{self.description}\nBehind --: {what}."

    def read(self, words: Sequence[str]) -> Namespace:
        """Read the words of a command line; ends the process with a line on stderr when they do not fit."""
        self._is_built = True
        if self._actions_of_verb is not None and words and words[0] in self._actions_of_verb.choices:
            chosen = self._actions_of_verb.choices[words[0]].read(words[1:])
            chosen.action = words[0]
            return chosen
        if self._takes_rest:
            at = list(words).index("--") if "--" in words else len(words)
            chosen = self.parse_args(self._with_values_joined(words[:at]), Namespace())
            chosen.rest = list(words[at + 1 :]) if at < len(words) else None
            return chosen
        if self._words_before_script is None:
            return self.parse_args(self._with_values_joined(words), Namespace())
        at = self._where_script_begins(words, self._words_before_script)
        chosen = self.parse_args(self._with_values_joined(words[:at]), Namespace())
        rest = list(words[at:])
        if rest and rest[0] == "--":
            rest.pop(0)
        elif not getattr(chosen, "quiet", False):
            self._tell_of_ours(rest[1:])
        chosen.script, chosen.arguments = (rest[0] if rest else None), rest[1:]
        return chosen

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        try:
            return super()._get_value(action, arg_string)
        except NotAccepted as fault:
            raise argparse.ArgumentError(action, str(fault)) from fault

    def _get_formatter(self) -> argparse.HelpFormatter:
        # While it is built, each option is tried on one, which would load archives' libraries to ask for the width.
        return super()._get_formatter() if self._is_built else argparse.HelpFormatter(self.prog, width=_SOME_WIDTH)

    def error(self, message: str) -> NoReturn:
        """Say what does not fit and end with exit code 2."""
        print(f"scriptfleet: {message}: see `{self.prog} --help`", file=sys.stderr)
        sys.exit(USAGE_EXIT_CODE)

    def _with_values_joined(self, words: Sequence[str]) -> list[str]:
        # argparse takes the -3s of --delay -3s for an option, and says only that a value is missing.
        found: list[str] = []
        for word in words:
            if found and re.match(_NEGATIVE, word) and found[-1].startswith("--") and self._takes_next(found[-1]):
                found[-1] += f"={word}"
            else:
                found.append(word)
        return found

    def _tell_of_ours(self, words: Sequence[str]) -> None:
        ours = [
            word for word in words if word.startswith("--") and word.partition("=")[0] in self._option_string_actions
        ]
        if ours:
            print(
                f"scriptfleet: {ours[0]} comes after the script and goes to it: options of scriptfleet come before it",
                file=sys.stderr,
            )

    def _where_script_begins(self, words: Sequence[str], words_before: int) -> int:
        # argparse's own REMAINDER swallows options when the script may be left out.
        at, still_before = 0, words_before
        while at < len(words):
            word = words[at]
            if word == "--":
                return at
            if word.startswith("-") and word != "-":
                at += 2 if self._takes_next(word) else 1
            elif still_before:
                still_before -= 1
                at += 1
            else:
                return at
        return len(words)

    def _takes_next(self, word: str) -> bool:
        option = self._option_string_actions.get(word)
        return option is not None and option.nargs != 0
