"""Archives of what retention deletes, jobs or entries of the audit log: gzip of JSON lines.

One member a batch, so that whole batches outlive a crash.
The first line says what the file is; each further one is a row (``table``, ``row``) or, at the end of a batch, how many
rows it had. Binary values are base64.
"""

import base64
import binascii
import gzip
import json
import os
import secrets
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

import sqlalchemy as sa

from scriptfleet.domain import check
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.engine import Database
from scriptfleet.storage.migrate import head, known_schemas
from scriptfleet.storage.tables import audit, curves, jobs, labels, outputs, run_alerts, runs, tails

VERSION: Final = 1
#: What belongs to a job, in the order in which it is written and put back.
OF_JOB: Final = (jobs, labels, runs)
OF_RUN: Final = (curves, outputs, tails, run_alerts)
_TABLES: Final = {table.name: table for table in (*OF_JOB, *OF_RUN, audit)}
#: A table, and which of its rows.
Wanted = tuple[sa.Table, sa.ColumnElement[bool]]
#: A row is far shorter: the largest is a piece of output, compressed.
_LONGEST_LINE: Final = 64 * 1024 * 1024
_BROKEN: Final = (ValueError, KeyError, TypeError, AttributeError, EOFError, OSError, zlib.error, RecursionError)


class ArchiveWriter:
    """Writes one archive, which begins to exist with its first batch. The file is its owner's alone to read."""

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path, self._header, self._is_begun = path, header, False

    def add(self, connection: sa.Connection, job_ids: Sequence[str]) -> None:
        """Write jobs with all that belongs to them; the bytes are on the disk when this returns."""
        self.add_rows(connection, _of_jobs(job_ids))

    def add_rows(self, connection: sa.Connection, wanted: Sequence[Wanted]) -> None:
        """Write rows of tables as one batch; the bytes are on the disk when this returns."""
        fresh = 0 if self._is_begun else os.O_EXCL
        descriptor = os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | fresh, 0o600)
        try:
            with open(descriptor, "ab") as file:
                self._add_batch(file, connection, wanted)
        except BaseException:
            if not self._is_begun:
                # Who tries it again begins another file: on a full disk these would add up.
                self.path.unlink(missing_ok=True)
            raise
        self._is_begun = True

    def _add_batch(self, file: IO[bytes], connection: sa.Connection, wanted: Sequence[Wanted]) -> None:
        with gzip.open(file, "wt", encoding="utf-8") as member:
            if not self._is_begun:
                _write(member, {"archive": "scriptfleet", "version": VERSION, **self._header})
            counts = Counter(_write_rows(member, connection, wanted))
            _write(member, {"batch": counts})
        file.flush()
        os.fsync(file.fileno())


def new_archive(folder: Path, name: str, before: float, now: float) -> ArchiveWriter:
    """Give an archive that is new in a folder; raises InvalidValue for a folder that can't be made."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise InvalidValue("archive_path", str(folder), f"a folder that can be made ({fault})") from fault
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    # Two that begin one in one second write a file each.
    path = folder / f"{name}-{moment}-{secrets.token_hex(4)}.jsonl.gz"
    return ArchiveWriter(path, {"schema": head(), "policy": name, "made_at": now, "before": before})


def restore(database: Database, path: Path) -> dict[str, int]:
    """Put back what an archive holds and is not there; give how many rows of each table it held.

    Each batch is put back whole. Raises InvalidValue for a file that is no archive, of a newer version, or cut short:
    its whole batches are back then, and the message says how many. Raises StoreUnreachable.
    """
    total: Counter[str] = Counter()
    lines = _lines(path, total)
    _check_header(path, next(lines, {}))
    more = True
    while more:
        with database.writing() as connection:
            more = _put_back(connection, database, lines, total, path)
    return dict(total)


def _of_jobs(job_ids: Sequence[str]) -> list[Wanted]:
    run_ids = sa.select(runs.c.run_id).where(runs.c.job_id.in_(job_ids))
    wanted: list[Wanted] = [(table, table.c.job_id.in_(job_ids)) for table in OF_JOB]
    return [*wanted, *((table, table.c.run_id.in_(run_ids)) for table in OF_RUN)]


def _write_rows(member: IO[str], connection: sa.Connection, wanted: Sequence[Wanted]) -> Iterator[str]:
    for table, condition in wanted:
        found = connection.execute(sa.select(table).where(condition), execution_options={"yield_per": 20})
        for row in found:
            _write(member, {"table": table.name, "row": {name: _plain(value) for name, value in row._mapping.items()}})
            yield table.name


def _write(member: IO[str], line: dict[str, Any]) -> None:
    member.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def _plain(value: object) -> object:
    return base64.b64encode(bytes(value)).decode() if isinstance(value, bytes | memoryview) else value


def _lines(path: Path, total: Counter[str]) -> Iterator[dict[str, Any]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            # A few bytes of gzip may hold a line of any length.
            while line := file.readline(_LONGEST_LINE + 1):
                if len(line) > _LONGEST_LINE:
                    raise ValueError(f"a line of more than {_LONGEST_LINE:,} characters")
                yield check.mapping("archive", json.loads(line))
    except FileNotFoundError as fault:
        raise InvalidValue("archive", str(path), "a file that is there") from fault
    except _BROKEN as fault:
        raise _broken(path, fault, total) from fault


def _broken(path: Path, fault: object, total: Counter[str]) -> InvalidValue:
    wanted = "a whole file that `scriptfleet retention apply` wrote"
    return InvalidValue("archive", str(path), f"{wanted} ({fault}; put back before: {total['jobs']} jobs)")


def _check_header(path: Path, header: dict[str, Any]) -> None:
    if header.get("archive") != "scriptfleet":
        raise InvalidValue("archive", str(path), "a file that `scriptfleet retention apply` wrote")
    if header.get("version") != VERSION or header.get("schema") not in known_schemas():
        told = f"version {header.get('version')}, schema {header.get('schema')}"
        raise InvalidValue("archive", str(path), f"one of this version of scriptfleet or an older one ({told})")


def _put_back(
    connection: sa.Connection, database: Database, lines: Iterator[dict[str, Any]], total: Counter[str], path: Path
) -> bool:
    """Put one batch back; give False at the end of the file. Without its last line a batch is not whole."""
    counts: Counter[str] = Counter()
    for line in lines:
        if "batch" in line:
            if line["batch"] != counts:
                raise _broken(path, f"a batch of {dict(counts)} instead of {line['batch']}", total)
            total.update(counts)
            return True
        name, values = _row(path, line, total)
        connection.execute(database.insert_into(_TABLES[name]).on_conflict_do_nothing(), values)
        if name == labels.name:
            # Runs of its job may be in segments already: a change of a label, if to what it was, takes them out.
            same = labels.c.job_id == values.get("job_id")
            connection.execute(sa.update(labels).where(same).values(value=labels.c.value))
        counts[name] += 1
    if counts:
        raise _broken(path, "its last batch is cut short", total)
    return False


def _row(path: Path, line: dict[str, Any], total: Counter[str]) -> tuple[str, dict[str, Any]]:
    try:
        name = str(line["table"])
        columns = _TABLES[name].c
        return name, {key: _revived(columns[key], value) for key, value in line["row"].items()}
    except (*_BROKEN, binascii.Error) as fault:
        raise _broken(path, f"a row that no table takes: {fault!r}", total) from fault


def _revived(column: sa.Column[Any], value: Any) -> Any:
    is_binary = isinstance(column.type, sa.LargeBinary) and value is not None
    return base64.b64decode(value, validate=True) if is_binary else value
