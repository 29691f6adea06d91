"""What differs between two runs: measures and specs, what differs most first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from scriptfleet.domain.usage import Usage

#: Moments and identities, which always differ.
_NOT_COMPARED: Final = frozenset({"start_time", "end_time"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two runs have otherwise. None stands for what is not known or not there."""

    name: str
    left: Any
    right: Any
    #: Of two numbers: (right - left) / the greater magnitude, from -2 to 2; None for all else.
    relative: float | None


def measure_differences(left: Usage, right: Usage) -> list[Difference]:
    """Give the measures that differ: numbers by their relative difference, then what one alone knows, then words."""
    mine, other = left.to_dict(), right.to_dict()
    found = [
        Difference(name, mine.get(name), other.get(name), _relative(mine.get(name), other.get(name)))
        for name in dict.fromkeys((*mine, *other))
        if name not in _NOT_COMPARED and mine.get(name) != other.get(name)
    ]
    return sorted(found, key=lambda one: -1.0 if one.relative is None else abs(one.relative), reverse=True)


def spec_differences(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[Difference]:
    """Give what two specs say otherwise, by dotted name."""
    mine, other = dict(_flat("", left)), dict(_flat("", right))
    names = sorted({*mine, *other})
    return [
        Difference(name, mine.get(name), other.get(name), _relative(mine.get(name), other.get(name)))
        for name in names
        if mine.get(name) != other.get(name)
    ]


def _flat(prefix: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else str(name), inner)
    else:
        yield prefix, value


def _relative(left: object, right: object) -> float | None:
    if not _is_number(left) or not _is_number(right):
        return None
    mine, other = float(left), float(right)  # type: ignore[arg-type]
    greater = max(abs(mine), abs(other))
    return (other - mine) / greater if greater else 0.0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
