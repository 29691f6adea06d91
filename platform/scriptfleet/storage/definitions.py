"""Definitions as they are kept: versions that never change, and who made each; a removal is noted as one more row."""

import hashlib
import json
import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from scriptfleet.domain.definition import Definition, DefinitionNotFound, Reference, definition_name
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.parameter import of_file
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.engine import Database
from scriptfleet.storage.tables import definitions

_COLUMNS = [column for column in definitions.c if column.name != "content"]
#: Others that add at the same moment win one version each; more tries than writers there will be.
_TRIES = 50


@dataclass(frozen=True, slots=True)
class KeptVersion:
    """One version, or a removal, which has a version of its own."""

    name: str
    version: int
    #: None for a removal.
    definition: Definition | None
    changed_by: str
    #: Seconds since the epoch.
    changed_at: float

    def living(self) -> Definition:
        """Give the definition; raises DefinitionNotFound for a removal."""
        if self.definition is None:
            raise DefinitionNotFound(self.name, is_removed=True)
        return self.definition


class DefinitionStore:
    """Keeps definitions. Each method raises StoreUnreachable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, definition: Definition, content: bytes | None, changed_by: str) -> KeptVersion:
        """Keep a new version; the newest one is given back as it is when it says the same.

        ``content`` are the bytes that the spec's source names. Raises InvalidValue when they are others.
        """
        _check_content(definition.spec, content)
        row = _row(definition) | {"content": content}
        return self._append(definition.name, row, changed_by)

    def remove(self, name: str, changed_by: str) -> KeptVersion:
        """Note that a definition is no longer to be used; its versions stay in the history.

        Raises DefinitionNotFound when there is none, or it is removed already.
        """
        self.get(Reference(definition_name(name)))
        nothing = {"spec": None, "parameters": None, "description": "", "content": None}
        return self._append(name, nothing, changed_by)

    def get(self, reference: Reference) -> KeptVersion:
        """Give a version, the newest where none is named; raises DefinitionNotFound, also for a removed one."""
        found = self._newest(reference.name)
        if found is None or found.definition is None:
            raise DefinitionNotFound(str(reference), is_removed=found is not None)
        if reference.version in (None, found.version):
            return found
        wanted = (definitions.c.name == reference.name) & (definitions.c.version == reference.version)
        with self._database.reading() as connection:
            row = connection.execute(sa.select(*_COLUMNS).where(wanted)).one_or_none()
        if row is None or row.spec is None:
            raise DefinitionNotFound(str(reference))
        return _kept(row)

    def content(self, name: str, version: int) -> bytes | None:
        """Give the bytes of a version's script, or None when it has none."""
        wanted = (definitions.c.name == name) & (definitions.c.version == version)
        with self._database.reading() as connection:
            found: bytes | None = connection.execute(sa.select(definitions.c.content).where(wanted)).scalar()
        return None if found is None else bytes(found)

    def history(self, name: str) -> list[KeptVersion]:
        """Give all versions and removals, the newest first; raises DefinitionNotFound when there never was one."""
        wanted = sa.select(*_COLUMNS).where(definitions.c.name == definition_name(name))
        with self._database.reading() as connection:
            rows = connection.execute(wanted.order_by(definitions.c.version.desc())).all()
        if not rows:
            raise DefinitionNotFound(name)
        return [_kept(row) for row in rows]

    def _append(self, name: str, row: dict[str, Any], changed_by: str) -> KeptVersion:
        insert = self._database.insert_into(definitions).on_conflict_do_nothing()
        for _ in range(_TRIES):
            last = self._newest_row(name)
            if last is not None and all(
                getattr(last, key) == row[key] for key in ("spec", "parameters", "description")
            ):
                return _kept(last)
            version = 1 if last is None else last.version + 1
            whole = {**row, "name": name, "version": version, "changed_by": changed_by, "changed_at": time.time()}
            with self._database.writing() as connection:
                if connection.execute(insert, whole).rowcount:
                    return _kept_of(whole)
        raise InvalidValue("definition", name, "one that not so many others change at the same moment: try again")

    def _newest(self, name: str) -> KeptVersion | None:
        row = self._newest_row(name)
        return None if row is None else _kept(row)

    def _newest_row(self, name: str) -> sa.Row[Any] | None:
        wanted = sa.select(*_COLUMNS).where(definitions.c.name == definition_name(name))
        with self._database.reading() as connection:
            return connection.execute(wanted.order_by(definitions.c.version.desc()).limit(1)).one_or_none()

    def list(self) -> list[KeptVersion]:
        """Give the newest version of each definition that is not removed, by name."""
        newest = sa.select(definitions.c.name, sa.func.max(definitions.c.version).label("version"))
        last = newest.group_by(definitions.c.name).subquery()
        is_last = (definitions.c.name == last.c.name) & (definitions.c.version == last.c.version)
        wanted = sa.select(*_COLUMNS).join(last, is_last).where(definitions.c.spec.is_not(None))
        with self._database.reading() as connection:
            return [_kept(row) for row in connection.execute(wanted.order_by(definitions.c.name))]


def _check_content(spec: JobSpec, content: bytes | None) -> None:
    named = None if spec.source is None else spec.source.sha256
    given = None if content is None else hashlib.sha256(content).hexdigest()
    if named != given:
        raise InvalidValue("content", given or "none", f"the bytes that the spec's source names: {named or 'none'}")


def _row(definition: Definition) -> dict[str, Any]:
    plain = definition.to_dict()
    return {
        "spec": definition.spec.to_json(),
        # Not sorted: a form shows parameters in the order in which they were given.
        "parameters": json.dumps(plain["parameters"], ensure_ascii=False),
        "description": definition.description,
    }


def _kept(row: sa.Row[Any]) -> KeptVersion:
    return _kept_of(dict(row._mapping))


def _kept_of(row: dict[str, Any]) -> KeptVersion:
    definition = None
    if row["spec"] is not None:
        spec, parameters = JobSpec.from_json(row["spec"]), of_file(json.loads(row["parameters"]))
        definition = Definition(row["name"], spec, parameters, row["description"])
    return KeptVersion(row["name"], row["version"], definition, row["changed_by"], row["changed_at"])
