"""Kinds of job that installed packages add, as a producer sees them: by name, without loading any code of theirs."""

from importlib import import_module

from scriptfleet.domain import kinds
from scriptfleet.errors import InvalidValue


def register_installed_kinds() -> None:
    """Let jobs of these kinds through; their config is checked by the worker, which loads the executor."""
    for entry in import_module("importlib.metadata").entry_points(group="scriptfleet.executors"):
        if kinds.is_known(entry.name):
            continue
        try:
            kinds.register_kind(entry.name)
        except InvalidValue:
            # A name no kind can have: whoever uses it is told so as for any unknown kind, and workers log it.
            continue


kinds.add_finder(register_installed_kinds)
