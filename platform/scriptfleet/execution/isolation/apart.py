"""From what a job asks for to a plan that the shim carries out, or a refusal that says what is missing here."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scriptfleet.domain.isolation import Isolation
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.value import replace
from scriptfleet.errors import EngineFailed
from scriptfleet.execution.isolation.account import Account, closed_folder, find_account, hand_over
from scriptfleet.execution.isolation.bubblewrap import wrapped
from scriptfleet.execution.isolation.capabilities import Feature, Way, capability, find_bubblewrap, wish
from scriptfleet.execution.isolation.mounts import TMP, Layout, Step, mount_steps
from scriptfleet.execution.plan import Plan
from scriptfleet.execution.workspace import Workspace


class NotIsolated(EngineFailed):
    """What a job asks for is not to be had on this worker."""

    def __init__(self, feature: str, reason: str) -> None:
        self.feature, self.reason = feature, reason
        super().__init__(f"isolation is not to be had on this worker: {feature}: {reason} (see `scriptfleet doctor`)")


@dataclass(frozen=True, slots=True)
class Belongings:
    """What a run must still have when it is set apart."""

    workspace: Workspace
    #: Its script, where that does not lie in the workspace.
    script: Path | None
    #: Where it writes its result.
    result: Path | None


_PROGRAMS: Final = frozenset({Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[3]})


def set_apart(plan: Plan, spec: JobSpec, has: Belongings) -> Plan:
    """Give the plan with the job's isolation in it, and hand the run's files to its user.

    Raises NotIsolated for what this machine cannot do, InvalidValue for a user or path that it does not have.
    """
    wanted = spec.isolation
    account = _account(wanted)
    if account is not None:
        _check_program(plan.argv[0], account, has)
    closed = frozenset() if account is None else _closed(account, has)
    way = _way(wanted, account, closed)
    layout = Layout(has.workspace.folder, plan.cwd, has.script, _PROGRAMS, closed)
    steps = mount_steps(wanted, layout, spec.limits.memory_mb)
    if account is not None:
        hand_over(has.workspace, account, has.result)
    return _by(way, replace(plan, env=_env(plan, spec, account)), wanted, account, steps)


def _by(way: Way, plan: Plan, wanted: Isolation, account: Account | None, steps: list[Step]) -> Plan:
    identity = None if account is None else account.identity
    program = find_bubblewrap()
    if way is Way.DIRECT or program is None:
        return replace(plan, isolation=wish(steps, wanted.no_network, identity, wanted.no_new_privileges))
    # It refuses new privileges by itself, always.
    argv = wrapped(program, plan.argv, str(plan.cwd), steps, wanted.no_network)
    return replace(plan, argv=argv, isolation=wish(identity=identity, bubble=wanted.no_network))


def _account(wanted: Isolation) -> Account | None:
    """Give the user to become; None when that is who we are already."""
    if wanted.user is None:
        return None
    account = find_account(wanted.user)
    return None if account.uid == os.geteuid() else account


def _check_program(program: str, account: Account, has: Belongings) -> None:
    """Refuse by name what would fail without a hint: an interpreter in the home of the worker's own user."""
    place = Path(os.path.realpath(program))
    closed = closed_folder(place, account)
    if closed is not None and has.workspace.folder not in place.parents:
        raise NotIsolated(
            Feature.USER, f"{account.name} may not enter {closed}, where {place} lies: install it elsewhere"
        )


def _closed(account: Account, has: Belongings) -> frozenset[Path]:
    paths = [has.workspace.folder, *([has.script] if has.script else [])]
    return frozenset(found for path in paths if (found := closed_folder(path, account)) is not None)


def _way(wanted: Isolation, account: Account | None, closed: frozenset[Path]) -> Way:
    """Choose how it is done: all directly, or the mounts and the network by bubblewrap."""
    asked = {
        Feature.USER: account is not None,
        Feature.MOUNTS: wanted.private_tmp or bool(wanted.read_only),
        Feature.NETWORK: wanted.no_network,
        Feature.PRIVILEGES: wanted.no_new_privileges,
    }
    ways = {_need(feature) for feature, is_asked in asked.items() if is_asked}
    if account is not None and closed and (Way.BUBBLEWRAP in ways or capability(Feature.MOUNTS).way is not Way.DIRECT):
        reason = f"{account.name} may not enter {min(closed)}: keep SCRIPTFLEET_HOME in a folder that others may enter"
        raise NotIsolated(Feature.USER, reason)
    return Way.BUBBLEWRAP if Way.BUBBLEWRAP in ways else Way.DIRECT


def _need(feature: Feature) -> Way:
    found = capability(feature)
    if found.way is None:
        raise NotIsolated(feature, found.why)
    return found.way


def _env(plan: Plan, spec: JobSpec, account: Account | None) -> dict[str, str]:
    """Say who the run is and where its temporary files go; what the job itself sets stands."""
    own = {} if account is None else account.env
    if spec.isolation.private_tmp:
        own["TMPDIR"] = str(TMP)
    return plan.env | {name: value for name, value in own.items() if name not in spec.env}
