"""The environment of a script. On the fleet it starts clean: never the worker's own secrets, never loader variables."""

import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.masking import has_password, is_secret_name, patterns
from scriptfleet.domain.value import value

#: What a fleet's script inherits from its worker unless its job wants all of it.
INHERITED: Final = frozenset(
    {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "TERM",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    }
)
_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LOADER: Final = frozenset({"GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH", "LIBPATH", "SHLIB_PATH"})
_LOADER_PREFIXES: Final = ("LD_", "DYLD_", "LDR_", "_RLD")
_MIB: Final = 1024 * 1024


@value(frozen=True, slots=True)
class Inheritance:
    """What scripts inherit from this process, decided once; each job says which of it: usual, all, or next to none."""

    #: When the job does not say.
    usual: Mapping[str, str]
    #: With ``inherit_env``.
    whole: Mapping[str, str]
    #: Without.
    clean: Mapping[str, str]
    secret_prefixes: Sequence[str] = ()
    allow_loader: bool = False

    def of(self, spec: JobSpec) -> dict[str, str]:
        """Give what a run of this job inherits."""
        base = self.usual if spec.inherit_env is None else self.whole if spec.inherit_env else self.clean
        if not spec.exclude_env:
            return dict(base)
        return {name: value for name, value in base.items() if not is_excluded(name, spec.exclude_env)}


@value(frozen=True, slots=True)
class RunEnvironment:
    """The variables of one run."""

    variables: dict[str, str]
    #: Forms in which its secrets may show.
    masks: tuple[bytes, ...] = ()


def is_loader_variable(name: str) -> bool:
    """Tell whether the dynamic loader, not the script, acts on this variable."""
    return name in _LOADER or name.startswith(_LOADER_PREFIXES)


def is_excluded(name: str, exclusions: Sequence[str]) -> bool:
    """Tell whether a variable is among the exclusions; a trailing * stands for any ending."""
    return any(name.startswith(rule.removesuffix("*")) if rule.endswith("*") else name == rule for rule in exclusions)


def clean(own: Mapping[str, str]) -> dict[str, str]:
    """Give the part of this process's environment that a fleet's script may have in any case."""
    kept = {name: value for name, value in own.items() if name in INHERITED or name.startswith("LC_")}
    return {"PATH": _DEFAULT_PATH, **kept}


def whole(own: Mapping[str, str], allow_loader: bool = False) -> dict[str, str]:
    """Give this process's environment for a script of the same person on the same machine."""
    return {name: value for name, value in own.items() if allow_loader or not is_loader_variable(name)}


def on_fleet(own: Mapping[str, str], secret_prefixes: Sequence[str] = (), allow_loader: bool = False) -> Inheritance:
    """Give what scripts inherit from a worker: little, and never its settings, secrets or passwords in addresses."""
    kept = {
        name: value
        for name, value in whole(own, allow_loader).items()
        if not name.startswith("SCRIPTFLEET_") and not is_secret_name(name, secret_prefixes) and not has_password(value)
    }
    few = clean(own)
    return Inheritance(few, {**few, **kept}, few, secret_prefixes, allow_loader)


def on_own_machine(
    own: Mapping[str, str], secret_prefixes: Sequence[str] = (), allow_loader: bool = False
) -> Inheritance:
    """Give what scripts inherit from the command line of the person who runs them: all of it."""
    everything = whole(own, allow_loader)
    return Inheritance(everything, everything, clean(own), secret_prefixes, allow_loader)


def for_run(
    inheritance: Inheritance, spec: JobSpec, secrets: Mapping[str, str], facts: Mapping[str, str]
) -> RunEnvironment:
    """Put together the environment of one run. Raises InvalidValue for a ``${NAME}`` that cannot be resolved.

    The job's own variables win over inherited ones, its secrets over those; what the run is told about itself wins
    over all. ``facts`` are ``job.id``, ``run.id`` and ``job.attempt``. Loader variables are dropped unless allowed.
    """
    base = {"PYTHONUNBUFFERED": "1", **inheritance.of(spec)}
    given = {name: value for name, value in spec.env.items() if name not in secrets}
    if any("${" in value for value in given.values()):
        # Few jobs have such variables.
        from scriptfleet.domain.interpolation import interpolate  # noqa: PLC0415

        given = interpolate(given, {**system_facts(), **facts, **base, **secrets}, {})
    found = {**base, **given, **secrets, **_about(facts)}
    if not inheritance.allow_loader and any(map(is_loader_variable, found)):
        found = {name: value for name, value in found.items() if not is_loader_variable(name)}
    named = [value for name, value in given.items() if is_secret_name(name, inheritance.secret_prefixes)]
    return RunEnvironment(found, patterns([*secrets.values(), *named]))


@cache
def system_facts() -> dict[str, str]:
    """Give what a variable may say of the machine: ``sys.hostname``, ``sys.cpus``, ``sys.memory_mb`` (MiB)."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "sys.hostname": os.uname().nodename,
        # Those that this process may use: a container may have fewer than its machine.
        "sys.cpus": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1),
        "sys.memory_mb": str(memory // _MIB),
    }


def _about(facts: Mapping[str, str]) -> dict[str, str]:
    return {
        "SCRIPTFLEET_JOB_ID": facts["job.id"],
        "SCRIPTFLEET_RUN_ID": facts["run.id"],
        "SCRIPTFLEET_ATTEMPT": facts["job.attempt"],
    }
