"""Reads the words of a call without argparse, where they are plain: options that are known, fit, and come one by one.

Whatever else they are, from a mistake to --help, is argparse's to answer (verb_parser.py). To load it and to tell it of
every option takes longer than all the rest of a short call's reading.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from scriptfleet.cli.amounts import NotAccepted
from scriptfleet.domain.value import value

#: What a help that is not shown is given as: argparse.SUPPRESS.
HIDDEN: Final = "==SUPPRESS=="
USAGE_EXIT_CODE: Final = 2
_FLAGS: Final = {"store_true": True, "store_false": False}
#: The default of an option that names none.
_USUAL: Final = object()


class Namespace:
    """What the words of a call said, by the names of options."""

    def __init__(self, **said: Any) -> None:
        self.__dict__.update(said)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """What is there differs from verb to verb."""

        def __setattr__(self, name: str, said: Any) -> None: ...


class _NotPlain(Exception):
    """Words for argparse."""


@value(frozen=True, slots=True)
class _Option:
    dest: str
    convert: Callable[[str], object]
    action: str
    choices: Sequence[str] | None
    #: Of these options one may be said; None where it does not matter.
    rivals: object

    def value(self, word: str) -> object:
        """Read the word behind the option."""
        try:
            found = self.convert(word)
        except (NotAccepted, ValueError, TypeError) as fault:
            raise _NotPlain from fault
        if self.choices is not None and found not in self.choices:
            raise _NotPlain
        return found


class PlainWords:
    """Is told of a verb's options as a parser is, by those of its methods that plain verbs use, and reads the words."""

    def __init__(self, around: "PlainWords | None" = None) -> None:
        """With words ``around`` these are options of it of which one may be said."""
        self._options: dict[str, _Option] = {} if around is None else around._options
        self._defaults: dict[str, object] = {} if around is None else around._defaults
        self._rivals = None if around is None else self

    def add_argument(
        self,
        *names: str,
        type: Callable[[str], object] = str,  # noqa: A002
        action: str = "store",
        dest: str | None = None,
        choices: Sequence[str] | None = None,
        default: object = _USUAL,
        metavar: str | None = None,
        help: str | None = None,  # noqa: A002
    ) -> None:
        """Take an option; what is for the help alone is left to argparse."""
        at = dest or names[0].removeprefix("--").replace("-", "_")
        usual = not _FLAGS[action] if action in _FLAGS else None
        self._defaults.setdefault(at, usual if default is _USUAL else default)
        self._options.update(dict.fromkeys(names, _Option(at, type, action, choices, self._rivals)))

    def add_argument_group(self, _title: str) -> "PlainWords":
        """Take a heading of the help."""
        return self

    def add_mutually_exclusive_group(self) -> "PlainWords":
        """Take options of which one may be said."""
        return PlainWords(self)

    def take_script(self, _what: str, _after: int) -> None:
        """Take that a script ends the options, as it does here in any case."""

    def show_examples(self, *_examples: str) -> None:
        """Leave the help's examples to argparse."""

    def read(self, words: Sequence[str]) -> Namespace | None:
        """Read the words of a call; None where they are not plain."""
        try:
            said, at = self._said(words)
        except _NotPlain:
            return None
        script, arguments = (words[at], list(words[at + 1 :])) if at < len(words) else (None, [])
        if not said.get("quiet") and any(map(self._is_ours, arguments)):
            # There is something to be told of it.
            return None
        return Namespace(**{**self._defaults, **said, "script": script, "arguments": arguments})

    def _is_ours(self, word: str) -> bool:
        name = word.partition("=")[0]
        return name in self._options or name == "--help"

    def _said(self, words: Sequence[str]) -> tuple[dict[str, Any], int]:
        """Give what the options say, and where the script is."""
        said: dict[str, Any] = {}
        rivals: set[object] = set()
        at = 0
        while at < len(words) and words[at].startswith("-") and words[at] != "-":
            name, equals, value = words[at].partition("=")
            option = self._options.get(name)
            if option is None or option.rivals in rivals or (equals and option.action in _FLAGS):
                raise _NotPlain
            if option.rivals is not None:
                rivals.add(option.rivals)
            if not equals and option.action not in _FLAGS:
                at += 1
                value = _behind(words, at)
            _put(option, value, said)
            at += 1
        return said, at


def _behind(words: Sequence[str], at: int) -> str:
    if at == len(words) or words[at].startswith("-"):
        raise _NotPlain
    return words[at]


def _put(option: _Option, word: str, said: dict[str, Any]) -> None:
    if option.action in _FLAGS:
        said[option.dest] = _FLAGS[option.action]
    elif option.action == "append":
        said.setdefault(option.dest, []).append(option.value(word))
    else:
        said[option.dest] = option.value(word)
