"""What it takes to forget jobs that ended before a moment: SQL that SQLite and PostgreSQL read alike."""

from typing import Final

_OLD_JOBS: Final = "SELECT job_id FROM jobs WHERE finished_at < :before"
_OLD_RUNS: Final = f"SELECT run_id FROM runs WHERE job_id IN ({_OLD_JOBS})"  # noqa: S608 - no value is put in

#: In this order, in one transaction; the last one's row count is the number of jobs. ``:before`` is a moment in
#: seconds since the epoch. Jobs that have not ended have no ``finished_at``, so they stay.
FORGET: Final = (
    *(f"DELETE FROM {part} WHERE run_id IN ({_OLD_RUNS})" for part in ("outputs", "tails", "curves", "run_alerts")),  # noqa: S608
    f"DELETE FROM runs WHERE job_id IN ({_OLD_JOBS})",  # noqa: S608
    f"DELETE FROM labels WHERE job_id IN ({_OLD_JOBS})",  # noqa: S608
    "DELETE FROM jobs WHERE finished_at < :before",
)
