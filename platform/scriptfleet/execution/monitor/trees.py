"""Which reader of process trees an engine has."""

from collections.abc import Callable
from importlib import import_module

from scriptfleet.execution.monitor.procfs import TreeReader
from scriptfleet.execution.monitor.tree import Run, Tree

Trees = Callable[[Run], Tree]


def trees_for(is_portable: bool) -> Trees:
    """Give what makes the reader of a run's tree: of /proc or, where asked for, by psutil."""
    if not is_portable:
        return lambda run: TreeReader(run.shim_pid)
    # By name: psutil is loaded only where it is used.
    portable = import_module("scriptfleet.execution.monitor.portable")
    table = portable.ProcessTable()
    return lambda run: portable.PortableTree(run, table)
