"""What differs between two runs: measures by how much they differ, and the specs of their jobs by path. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from scriptfleet.domain.definition import changes

#: Told apart by their very nature, so that a difference says nothing.
_OWN: Final = frozenset({"start_time", "end_time"})


@dataclass(frozen=True, slots=True)
class Difference:
    """A measure that two runs have otherwise; None where one does not have it."""

    name: str
    before: Any
    after: Any
    #: (after - before) / the greater of both in size, from -2 to 2; None where it is not two numbers.
    relative: float | None


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Give the measures that differ: the outcome and what is no number first, then the greatest relative difference."""
    found = [
        Difference(name, before.get(name), after.get(name), _relative(before.get(name), after.get(name)))
        for name in {**before, **after}
        if name not in _OWN and before.get(name) != after.get(name)
    ]
    return sorted(found, key=_rank)


def spec_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Give what differs between two specs in their plain form, by path."""
    return [Difference(path, _at(before, path), _at(after, path), None) for path in changes(before, after)]


def _rank(one: Difference) -> tuple[int, float, str]:
    if one.relative is not None:
        return 2, -abs(one.relative), one.name
    # How it ended comes first, then other words and answers; what only one of them has, and how it was got, last.
    if one.name == "outcome":
        return 0, 0.0, one.name
    if one.name.endswith("_method"):
        return 4, 0.0, one.name
    return (3 if None in (one.before, one.after) else 1), 0.0, one.name


def _relative(before: object, after: object) -> float | None:
    # Yes and no are numbers to Python.
    if isinstance(before, bool) or not isinstance(before, int | float):
        return None
    if isinstance(after, bool) or not isinstance(after, int | float):
        return None
    return (after - before) / max(abs(before), abs(after))


def _at(data: Any, path: str) -> Any:
    for name in _names(data, path):
        data = data.get(name) if isinstance(data, Mapping) else None
    return data


def _names(data: Any, path: str) -> Iterator[str]:
    """Give the parts of a path; a name may have dots itself."""
    while path:
        known = (
            [name for name in data if path == name or path.startswith(f"{name}.")] if isinstance(data, Mapping) else []
        )
        name = max(known, key=len, default=path.partition(".")[0])
        yield name
        data, path = (data.get(name) if isinstance(data, Mapping) else None), path[len(name) + 1 :]
