"""How values look on a page. What scripts print is shown as text that can't act: control characters become visible."""

import codecs
import re
from datetime import UTC, datetime

from scriptfleet.domain.terminal_text import TerminalFilter
from scriptfleet.domain.usage import MEASURES, Usage

NOTHING = "–"  # noqa: RUF001 - a dash is meant

#: Seconds below which hundredths tell runs apart.
_SHOWN_WITH_HUNDREDTHS = 100
_STEP = 1024

#: C0 but tab and newline, DEL, C1, and the characters that turn or hide the text around them.
_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufff9-\ufffb]"
)
_C0_PICTURES, _DELETE, _DELETE_PICTURE = 0x2400, 0x7F, "\u2421"

_UNITS = {"_seconds": "s", "_mb": "MiB", "_bytes": "bytes", "_percent": "%"}
_PERCENT_OF_A_CORE = frozenset({"cpu_max", "cpu_avg", "cpu_min"})
_METHODS = {
    "cpu_method": (
        *("cpu_max", "cpu_avg", "cpu_min", "user_time_seconds", "system_time_seconds"),
        # These come from the control group alone, so a run that has them has its CPU time from there as well.
        *("memory_charged_max_mb", "cpu_throttled_seconds"),
        *("cpu_stalled_seconds", "memory_stalled_seconds", "io_stalled_seconds"),
    ),
    "memory_method": ("memory_max_mb", "memory_avg_mb", "memory_min_mb", "memory_percent"),
    "io_method": ("block_io_read_bytes", "block_io_write_bytes"),
    "pids_method": ("pids_count",),
}
_METHOD_OF = {measure: method for method, measures in _METHODS.items() for measure in measures}


def printable(text: str) -> str:
    """Give text with every control character and every invisible turn of direction made visible."""
    return _ACTING.sub(_picture, text.replace("\r\n", "\n"))


def printable_bytes(body: bytes) -> str:
    """Give what a script printed as text without terminal sequences; what is no UTF-8 becomes U+FFFD."""
    return printable(TerminalFilter(keeps_colour=False).clean(body.decode("utf-8", "replace")))


class OutputText:
    """Makes text that can't act of one stream's bytes, however they are cut into pieces; terminal sequences go."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._filter = TerminalFilter(keeps_colour=False)

    def add(self, content: bytes) -> str:
        """Give what may be shown by now."""
        return printable(self._filter.clean(self._decoder.decode(content)))


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < ord(" "):
        return chr(_C0_PICTURES + code)
    return _DELETE_PICTURE if code == _DELETE else f"<U+{code:04X}>"


def duration(seconds: float | None) -> str:
    """Give a duration in the unit people would use."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _SHOWN_WITH_HUNDREDTHS:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def mebibytes(value: float | None) -> str:
    """Give an amount of memory; the input is MiB."""
    return NOTHING if value is None else f"{value:,.1f} MiB"


def size(value: int | None) -> str:
    """Give a number of bytes in a unit that people would use."""
    if value is None:
        return NOTHING
    amount, unit = float(value), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < _STEP:
            break
        amount, unit = amount / _STEP, larger
    return f"{amount:,.0f} {unit}" if unit == "B" else f"{amount:,.1f} {unit}"


def moment_text(seconds: float | None) -> str:
    """Give a moment in UTC, to the second."""
    return NOTHING if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def ago(seconds: float | None) -> str:
    """Give a length of time in one unit, as in "3 min"."""
    if seconds is None:
        return NOTHING
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def moment_iso(seconds: float | None) -> str:
    """Give a moment for machines."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def measure_rows(usage: Usage) -> list[tuple[str, str, str, str]]:
    """Give every measure of a run as name, value, unit and method; unknown ones too, as a dash."""
    flat = usage.to_dict()
    names = [*MEASURES, *(f"custom.{name}" for name in usage.custom)]
    return [
        (printable(name), value_text(flat[name]), unit_of(name) if flat[name] is not None else "", _method(name, flat))
        for name in names
        if not name.endswith("_method")
    ]


def value_text(value: object) -> str:
    """Give a value as it is shown, a dash for what is not known."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.6g}" if isinstance(value, float) else printable(str(value))


def unit_of(name: str) -> str:
    """Give the unit that a measure is shown with."""
    if name in _PERCENT_OF_A_CORE:
        return "% of a core"
    return next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "")


def _method(name: str, flat: dict[str, object]) -> str:
    said = flat.get(_METHOD_OF.get(name, ""))
    return printable(str(said)) if said is not None and flat[name] is not None else ""
