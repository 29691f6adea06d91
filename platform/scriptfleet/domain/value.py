"""Immutable values: declared as frozen dataclasses with slots are, and taken for such, but quick to load.

``dataclasses`` loads ``inspect`` and compiles five functions for each class: a sixth of the time that a short
``scriptfleet run`` takes. Here one is compiled, and that only for a class of which many are made; what ``dataclasses``
itself wants to know is worked out when it asks.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

__all__ = ["content_of", "field", "names_of", "replace", "value"]

_T = TypeVar("_T")

#: To compile what makes a value takes as long as making so many without.
_MANY: Final = 30
#: Stands in a signature for a default that is made anew each time.
_MADE: Final = object()


def names_of(form: type) -> tuple[str, ...]:
    """Give the names of a value's fields, in their order."""
    found: tuple[str, ...] = form.__match_args__  # type: ignore[attr-defined]
    return found


def content_of(one: object) -> dict[str, Any]:
    """Give a value's fields by name, as they are."""
    return {name: getattr(one, name) for name in names_of(type(one))}


_set: Final = object.__setattr__


class _Field:
    def __init__(self, *, default_factory: Callable[[], Any]) -> None:
        self.make = default_factory


class _LateFields:
    """What ``dataclasses`` knows of a class: read from a real dataclass of the same fields when it is first asked."""

    def __init__(self, declared: dict[str, Any]) -> None:
        self._declared = declared

    def __get__(self, _one: object, form: type) -> dict[str, Any]:
        import dataclasses  # noqa: PLC0415

        own = {
            name: dataclasses.field(default_factory=said.make) if isinstance(said, _Field) else said
            for name, said in self._declared.items()
        }
        declared = {"__annotations__": form.__annotations__, "__module__": form.__module__, **own}
        found: dict[str, Any] = dataclasses.dataclass(type(form.__name__, (), declared)).__dataclass_fields__  # type: ignore[attr-defined]
        form.__dataclass_fields__ = found  # type: ignore[attr-defined]
        return found


def _value(*, frozen: bool, slots: bool) -> Callable[[type], type]:
    """Make a class without bases a value; both options are for type checkers, and no others are to be had."""
    if not (frozen and slots):
        raise TypeError("values are frozen and have slots: use dataclasses.dataclass")
    return _made


def _made(declared: type) -> type:
    if declared.__bases__ != (object,):
        raise TypeError(f"{declared.__name__} has bases, which values have none of: use dataclasses.dataclass")
    names = tuple(declared.__annotations__)
    defaults = {name: declared.__dict__[name] for name in names if name in declared.__dict__}
    dropped = {*names, "__dict__", "__weakref__", "__hash__"}
    own = {name: said for name, said in declared.__dict__.items() if name not in dropped}
    slots = {"__slots__": names, "__match_args__": names, "__dataclass_fields__": _LateFields(defaults)}
    form = type(declared.__name__, (), {**_SHARED, **own, **slots})
    form.__init__ = _first_init(form, names, defaults)  # type: ignore[misc]
    return form


def _first_init(form: type, names: tuple[str, ...], defaults: dict[str, Any]) -> Callable[..., None]:
    """Give what makes the first values of a class, and refuses words that do not fit in the words of the other."""
    made = 0

    def init(self: Any, *given: Any, **named: Any) -> None:
        nonlocal made
        made += 1
        content = {**defaults, **dict(zip(names, given, strict=False)), **named}
        is_fitting = len(given) <= len(names) and named.keys().isdisjoint(names[: len(given)])
        if made > _MANY or not is_fitting or content.keys() != set(names):
            form.__init__ = _init(form, names, defaults)  # type: ignore[misc]
            form.__init__(self, *given, **named)  # type: ignore[misc]
            return
        for name, said in content.items():
            _set(self, name, said.make() if isinstance(said, _Field) else said)
        if hasattr(self, "__post_init__"):
            self.__post_init__()

    init.__qualname__, init.__module__ = f"{form.__qualname__}.__init__", form.__module__
    return init


def _init(form: type, names: tuple[str, ...], defaults: dict[str, Any]) -> Callable[..., None]:
    known: dict[str, Any] = {"_MADE": _MADE}
    words, lines = [], []
    for name in names:
        known[f"_set_{name}"] = getattr(form, name).__set__
        given, word = name, name
        if name in defaults:
            said = defaults[name]
            is_made = isinstance(said, _Field)
            known[f"_default_{name}"] = said.make if is_made else said
            word = f"{name}=_MADE" if is_made else f"{name}=_default_{name}"
            given = f"_default_{name}() if {name} is _MADE else {name}" if is_made else name
        words.append(word)
        lines.append(f" _set_{name}(self, {given})")
    if hasattr(form, "__post_init__"):
        lines.append(" self.__post_init__()")
    exec(f"def __init__(self, {', '.join(words)}):\n" + "\n".join(lines), known)  # noqa: S102
    init: Callable[..., None] = known["__init__"]
    init.__qualname__, init.__module__ = f"{form.__qualname__}.__init__", form.__module__
    return init


def _content(one: object) -> tuple[Any, ...]:
    return tuple([getattr(one, name) for name in names_of(type(one))])


def _equal(one: object, other: object) -> bool:
    return _content(one) == _content(other) if type(other) is type(one) else NotImplemented


def _hash(one: object) -> int:
    return hash(_content(one))


def _repr(one: object) -> str:
    shown = ", ".join(f"{name}={getattr(one, name)!r}" for name in names_of(type(one)))
    return f"{type(one).__qualname__}({shown})"


def _refuse_set(_one: object, name: str, _value: object) -> None:
    raise AttributeError(f"cannot assign to field {name!r}")


def _refuse_delete(_one: object, name: str) -> None:
    raise AttributeError(f"cannot delete field {name!r}")


def _reduce(one: object) -> tuple[type, tuple[Any, ...]]:
    return type(one), _content(one)


def _replace(one: _T, **changes: Any) -> _T:
    """Give the value with some fields changed; checked as a new one is."""
    return type(one)(**{**content_of(one), **changes})


_SHARED: Final[dict[str, Any]] = {
    "__eq__": _equal,
    "__hash__": _hash,
    "__repr__": _repr,
    "__setattr__": _refuse_set,
    "__delattr__": _refuse_delete,
    "__reduce__": _reduce,
}

if TYPE_CHECKING:
    from dataclasses import dataclass as value
    from dataclasses import field, replace
else:
    value, field, replace = _value, _Field, _replace
