"""Scriptfleet: run scripts on a fleet and know what each run cost.

``import scriptfleet`` loads nothing heavy; the public names below resolve when first used.
"""

__version__ = "0.1.0"

# What type checkers take for true; `typing` itself would double the start of the small processes in execution/shim.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from scriptfleet import monitor as monitor
    from scriptfleet.domain.job import JobSpec as JobSpec
    from scriptfleet.domain.limits import Limits as Limits
    from scriptfleet.domain.retry import RetryPolicy as RetryPolicy
    from scriptfleet.domain.state import State as State
    from scriptfleet.domain.usage import Usage as Usage
    from scriptfleet.queues.client import Client as Client
    from scriptfleet.queues.job_handle import Job as Job
    from scriptfleet.storage.export import DataExporter as DataExporter
    from scriptfleet.storage.history import HistoryManager as HistoryManager
    from scriptfleet.storage.retention_policy import RetentionPolicy as RetentionPolicy
    from scriptfleet.storage.time_series import TimeSeriesDB as TimeSeriesDB

_PUBLIC = {
    "Client": "scriptfleet.queues.client",
    "DataExporter": "scriptfleet.storage.export",
    "HistoryManager": "scriptfleet.storage.history",
    "Job": "scriptfleet.queues.job_handle",
    "JobSpec": "scriptfleet.domain.job",
    "Limits": "scriptfleet.domain.limits",
    "RetentionPolicy": "scriptfleet.storage.retention_policy",
    "RetryPolicy": "scriptfleet.domain.retry",
    "State": "scriptfleet.domain.state",
    "TimeSeriesDB": "scriptfleet.storage.time_series",
    "Usage": "scriptfleet.domain.usage",
}

_MODULES = ("monitor",)

__all__ = [
    "Client",
    "DataExporter",
    "HistoryManager",
    "Job",
    "JobSpec",
    "Limits",
    "RetentionPolicy",
    "RetryPolicy",
    "State",
    "TimeSeriesDB",
    "Usage",
    "__version__",
    "monitor",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name not in _PUBLIC and name not in _MODULES:
        raise AttributeError(f"module 'scriptfleet' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    if name in _MODULES:
        return import_module(f"scriptfleet.{name}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    """List the public names, also those not loaded yet."""
    return sorted(__all__)
