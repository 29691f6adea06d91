"""Makes what a script says safe for a terminal: colours stay, everything else that steers the terminal goes."""

import re
from typing import Final

#: Controls of ASCII and of Latin-1, and the marks that reverse the direction of text.
_CONTROLS: Final = "\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"
_STEERING: Final = (
    r"\x1b\[(?P<parameters>[0-?]*)(?P<between>[ -/]*)(?P<final>[@-~])"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b[PX^_][^\x1b]*\x1b\\"
    r"|\x1b[ -/]*[0-OQ-WYZ\\`-~]"
    rf"|[{_CONTROLS}]"
)
#: A sequence that has begun and not ended.
_UNFINISHED: Final = r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[PX^_][^\x1b]*\x1b?|[ -/]*)\Z"
_LONGEST_SEQUENCE: Final = 4096
_COLOUR: Final = r"[0-9;:]*"


class TerminalFilter:
    """Cleans a stream of text pieces; a sequence may be cut anywhere between two pieces."""

    def __init__(self, *, keeps_colour: bool = True) -> None:
        self._held, self._keeps_colour = "", keeps_colour
        #: Whether a colour was passed on, so that it should be set back at the end.
        self.has_colour = False

    def clean(self, piece: str) -> str:
        """Give what may be shown by now."""
        text = self._held + piece
        unfinished = re.search(_UNFINISHED, text)
        cut = unfinished.start() if unfinished and len(text) - unfinished.start() <= _LONGEST_SEQUENCE else len(text)
        text, self._held = text[:cut], text[cut:]
        return re.sub(_STEERING, self._keep_colour, text)

    def _keep_colour(self, found: re.Match[str]) -> str:
        is_colour = (
            self._keeps_colour
            and found["final"] == "m"
            and not found["between"]
            and re.fullmatch(_COLOUR, found["parameters"])
        )
        if is_colour:
            self.has_colour = True
        return found[0] if is_colour else ""


def clean_line(text: str, longest: int = 0) -> str:
    """Give a name or message as one line without anything that steers a terminal, cut to ``longest`` when not 0."""
    plain = text if text.isprintable() else re.sub(_STEERING, "", text)
    line = " ".join(plain.replace("\x1b", "").split())
    return line if not longest or len(line) <= longest else line[: longest - 1] + "…"
