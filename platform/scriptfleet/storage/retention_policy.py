"""RetentionPolicy: named rules of how long history is kept, stored in the database, and their application."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from scriptfleet.domain import check
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.archive import ArchiveWriter, new_archive
from scriptfleet.storage.engine import Database
from scriptfleet.storage.expire import Bounds, count, expire
from scriptfleet.storage.history import HistoryManager, history_of
from scriptfleet.storage.moments import iso
from scriptfleet.storage.tables import retention_policies

_DAY_SECONDS: Final = 86_400.0
_MOST_DAYS: Final = 36_500
#: Between two applications by a results service; the first comes so long after the policy was added.
EVERY_SECONDS: Final = _DAY_SECONDS
_FIRST_AFTER_SECONDS: Final = 3600.0
_AGAIN_AFTER_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Preset:
    """What a compliance mode asks for beyond the days; docs/history.md says where each number comes from."""

    least_days: float = 0
    needs_archive: bool = False
    #: After so many days what is about persons goes.
    erase_days: float | None = None


PRESETS: Final = {
    "SOC2": Preset(least_days=365, needs_archive=True),
    "HIPAA": Preset(least_days=2190, needs_archive=True),
    "GDPR": Preset(erase_days=30),
}


@dataclass(frozen=True, slots=True)
class Policy:
    """A rule as it is stored. Moments are seconds since the epoch."""

    name: str
    retention_days: float
    archive_path: str | None
    compliance: str | None
    erase_days: float | None
    created_at: float
    next_at: float
    last_at: float | None = None
    last_result: dict[str, Any] | None = None

    def bounds(self, now: float) -> Bounds:
        """Give what goes at this moment."""
        erase = None if self.erase_days is None else now - self.erase_days * _DAY_SECONDS
        return Bounds(now - self.retention_days * _DAY_SECONDS, erase)


class PolicyStore:
    """Policies in a database. Each method raises StoreUnreachable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, policy: Policy) -> None:
        """Add a policy, or put it in the place of the one of its name."""
        values = asdict(policy)
        insert = self._database.insert_into(retention_policies).values(values)
        chosen = {name: insert.excluded[name] for name in values if name != "name"}
        with self._database.writing() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=chosen))

    def get(self, name: str) -> Policy:
        """Give one; raises InvalidValue, naming those there are, when there is none of this name."""
        found = {policy.name: policy for policy in self.all()}
        if name not in found:
            raise InvalidValue("policy", name, f"one of {', '.join(found)}" if found else "a policy: none is defined")
        return found[name]

    def all(self) -> list[Policy]:
        """Give all, by name."""
        wanted = sa.select(retention_policies).order_by(retention_policies.c.name)
        with self._database.reading() as connection:
            return [Policy(**row._mapping) for row in connection.execute(wanted)]

    def remove(self, name: str) -> None:
        """Remove one; raises InvalidValue when there is none of this name."""
        self.get(name)
        with self._database.writing() as connection:
            connection.execute(sa.delete(retention_policies).where(retention_policies.c.name == name))

    def take_due(self, policy: Policy, now: float) -> bool:
        """Take the application that is due; of several services that try, one is given True."""
        values = {"next_at": now + EVERY_SECONDS, "last_at": now}
        return self._update(policy.name, retention_policies.c.next_at == policy.next_at, values)

    def note(self, name: str, result: dict[str, Any], now: float) -> None:
        """Note what an application did; one that failed is due again soon."""
        values: dict[str, Any] = {"last_result": result, "last_at": now}
        if "error" in result:
            values["next_at"] = now + _AGAIN_AFTER_SECONDS
        self._update(name, sa.true(), values)

    def _update(self, name: str, where: sa.ColumnElement[bool], values: dict[str, Any]) -> bool:
        is_it = retention_policies.c.name == name
        with self._database.writing() as connection:
            return connection.execute(sa.update(retention_policies).where(is_it, where).values(values)).rowcount == 1


class RetentionPolicy:
    """The policies of a history. Each method raises StoreUnreachable when the database is away."""

    def __init__(self, history_manager: HistoryManager) -> None:
        self._database = history_of(history_manager).database

    def add_policy(
        self,
        name: str,
        retention_days: float | None = 90,
        archive_path: str | Path | None = None,
        compliance: str | None = None,
    ) -> dict[str, Any]:
        """Add a policy, or replace the one of this name, and give it as get_policies() has it.

        ``compliance`` is SOC2, HIPAA, GDPR or None; the days of a preset are the least that is kept. ``archive_path``
        is the folder of archives; where a preset needs one and none is named, it lies beside the SQLite file. Raises
        InvalidValue.
        """
        policy = new_policy(self._database, name, retention_days, archive_path, compliance, time.time())
        PolicyStore(self._database).put(policy)
        return _shown(policy)

    def apply_policy(self, policy_name: str, dry_run: bool = False) -> dict[str, Any]:
        """Delete what a policy does not keep, or with ``dry_run`` count it; give the rows of each table.

        Raises InvalidValue for a policy that is not there or an archive that cannot be written.
        """
        policy = PolicyStore(self._database).get(policy_name)
        return apply(self._database, policy, time.time(), dry_run=dry_run)

    def get_policies(self) -> list[dict[str, Any]]:
        """Give the policies, by name."""
        return [_shown(policy) for policy in PolicyStore(self._database).all()]


def new_policy(
    database: Database,
    name: str,
    retention_days: float | None,
    archive_path: str | Path | None,
    compliance: str | None,
    now: float,
) -> Policy:
    """Give a policy with what its preset asks for; days None are the preset's, or 90. Raises InvalidValue."""
    if not check.is_short_name(name):
        raise InvalidValue("policy", name, "up to 64 letters, digits, '-', '_' and '.'")
    if compliance is not None and compliance not in PRESETS:
        raise InvalidValue("compliance", compliance, ", ".join(PRESETS))
    preset = PRESETS[compliance] if compliance else Preset()
    asked = preset.least_days or 90 if retention_days is None else retention_days
    days = max(check.number("retention_days", asked, 0, _MOST_DAYS, above=True), preset.least_days)
    folder = _archive_folder(database, archive_path, preset)
    erase = None if preset.erase_days is None else min(preset.erase_days, days)
    return Policy(name, days, folder, compliance, erase, now, now + _FIRST_AFTER_SECONDS)


def apply(
    database: Database,
    policy: Policy,
    now: float,
    *,
    dry_run: bool = False,
    is_stopping: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Apply a policy; see RetentionPolicy.apply_policy."""
    bounds = policy.bounds(now)
    said = {"policy": policy.name, "dry_run": dry_run, "before": iso(max(0.0, bounds.delete))}
    if dry_run:
        return {**said, "archive": None, **count(database, bounds)}
    archive = _new_archive(policy, bounds, now)
    try:
        gone = expire(database, bounds, archive, is_stopping)
    except OSError as fault:
        raise InvalidValue("archive_path", policy.archive_path, f"a folder that can be written ({fault})") from fault
    written = str(archive.path) if archive is not None and gone["jobs"] else None
    result = {**said, "archive": written, **gone}
    PolicyStore(database).note(policy.name, result, now)
    return result


def _archive_folder(database: Database, given: str | Path | None, preset: Preset) -> str | None:
    if given is None and preset.needs_archive:
        if not database.is_sqlite:
            raise InvalidValue("archive_path", None, "a folder: this preset archives what is deleted")
        return f"{Path(str(database.engine.url.database)).absolute()}.archive"
    return None if given is None else str(Path(check.text("archive_path", str(given))).expanduser().absolute())


def _new_archive(policy: Policy, bounds: Bounds, now: float) -> ArchiveWriter | None:
    if policy.archive_path is None:
        return None
    return new_archive(Path(policy.archive_path), policy.name, bounds.delete, now)


def _shown(policy: Policy) -> dict[str, Any]:
    return asdict(policy)
