"""The tables, once. Every moment is seconds since the epoch (UTC) as a double; JSON is kept as JSON text."""

from typing import Any

import sqlalchemy as sa

from scriptfleet.domain.usage import MEASURES
from scriptfleet.storage.row import MEASURE_TYPES

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = sa.MetaData(naming_convention=NAMING)

_COLUMN_TYPES: dict[type, type[sa.types.TypeEngine[Any]]] = {
    str: sa.Text,
    int: sa.BigInteger,
    float: sa.Double,
    bool: sa.Boolean,
}

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("job_id", sa.Text, primary_key=True),
    # What the spec says; null until its submitted event has come, which may be after others of the job.
    sa.Column("kind", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("queue", sa.Text),
    sa.Column("priority", sa.Integer),
    sa.Column("group_name", sa.Text),
    sa.Column("labels", sa.JSON(none_as_null=True)),
    sa.Column("schedule", sa.Text),
    sa.Column("submitted_by", sa.Text),
    # The spec's own text, as it was signed, but for secrets in it.
    sa.Column("spec", sa.Text),
    # As it came with the submit, empty where the fleet has no key; null where the submit did not say it.
    sa.Column("signature", sa.Text),
    # Whether ``spec`` is the very text that was submitted, with no secret taken out of it; null where nobody noted it.
    sa.Column("is_spec_whole", sa.Boolean),
    # Until the spec is known: the earliest moment that anything was heard of the job.
    sa.Column("submitted_at", sa.Double, nullable=False),
    # Set by the event of the highest revision.
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("finished_at", sa.Double),
    sa.Column("reason", sa.Text),
    # When a delayed job is due; null in any other state.
    sa.Column("due_at", sa.Double),
    # Set by the run of the highest revision.
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("last_run_id", sa.Text),
    sa.Column("run_revision", sa.BigInteger, nullable=False),
    # Of its first run.
    sa.Column("started_at", sa.Double),
)
sa.Index("ix_jobs_submitted_at", jobs.c.submitted_at, jobs.c.job_id)
sa.Index("ix_jobs_state", jobs.c.state, jobs.c.submitted_at, jobs.c.job_id)
sa.Index("ix_jobs_name", jobs.c.name, jobs.c.submitted_at, jobs.c.job_id)
sa.Index("ix_jobs_group_name", jobs.c.group_name, jobs.c.submitted_at, jobs.c.job_id)
# What retention goes by.
sa.Index("ix_jobs_finished_at", jobs.c.finished_at, jobs.c.job_id)
sa.Index("ix_jobs_schedule", jobs.c.schedule, jobs.c.submitted_at, jobs.c.job_id)

# What jobs are found by; jobs.labels has the same.
labels = sa.Table(
    "labels",
    metadata,
    sa.Column("job_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
sa.Index("ix_labels_name", labels.c.name, labels.c.value, labels.c.job_id)

#: What is asked for most: read from the index alone, so that the series of a script, or a percentile over all runs,
#: never goes through the rows, which are ten times as long. Each makes all that is stored a little slower.
SERIES = (
    "outcome",
    "execution_time_seconds",
    "cpu_max",
    "cpu_avg",
    "user_time_seconds",
    "system_time_seconds",
    "memory_max_mb",
    "queue_wait_seconds",
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("job_id", sa.Text, nullable=False),
    # Of the job, repeated here so that the history of one script is one range of one index.
    sa.Column("name", sa.Text),
    sa.Column("kind", sa.Text),
    sa.Column("queue", sa.Text),
    sa.Column("group_name", sa.Text),
    sa.Column("attempt", sa.Integer),
    sa.Column("worker", sa.Text),
    sa.Column("host", sa.Text),
    # Null while it runs.
    sa.Column("outcome", sa.Text),
    # Null until its record has come; true when another run owned the job by then.
    sa.Column("is_stale", sa.Boolean),
    sa.Column("claimed_at", sa.Double),
    sa.Column("started_at", sa.Double),
    sa.Column("finished_at", sa.Double),
    # The first of started, claimed and finished that is known. No generated column: SQLite never answers a query
    # that names one from an index alone.
    sa.Column("began_at", sa.Double),
    *(sa.Column(name, _COLUMN_TYPES[MEASURE_TYPES[name]]) for name in MEASURES),
    sa.Column("custom", sa.JSON(none_as_null=True)),
    sa.Column("output_data", sa.JSON(none_as_null=True)),
    sa.Column("stdout_cut_bytes", sa.BigInteger),
    sa.Column("stderr_cut_bytes", sa.BigInteger),
    # A list of name, size_bytes and sha256; null where no record has told.
    sa.Column("artifacts", sa.JSON(none_as_null=True)),
)
# Runs are listed by moment and id. With an index in any other order, PostgreSQL would go by another one.
sa.Index("ix_runs_job_id", runs.c.job_id, runs.c.began_at, runs.c.run_id)
sa.Index("ix_runs_began_at", runs.c.began_at, runs.c.run_id)
sa.Index("ix_runs_name", runs.c.name, runs.c.began_at, runs.c.run_id, *(runs.c[name] for name in SERIES))
sa.Index("ix_runs_group_name", runs.c.group_name, runs.c.began_at, runs.c.run_id)
sa.Index("ix_runs_worker", runs.c.worker, runs.c.began_at, runs.c.run_id)
sa.Index("ix_runs_outcome", runs.c.outcome, runs.c.began_at, runs.c.run_id)

# The runs of a script that began in a piece of time, as columns: a copy that can be made anew, see segments.py.
segments = sa.Table(
    "segments",
    metadata,
    sa.Column("segment_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    # Included; ``until_at`` is not.
    sa.Column("from_at", sa.Double, nullable=False),
    sa.Column("until_at", sa.Double, nullable=False),
    sa.Column("runs", sa.Integer, nullable=False),
    # See segments.py. Triggers on ``runs`` set it to that of one which is out of date.
    sa.Column("state", sa.Integer, nullable=False),
)
sa.Index("ix_segments_name", segments.c.name, segments.c.until_at)
sa.Index("ix_segments_until_at", segments.c.until_at)

segment_columns = sa.Table(
    "segment_columns",
    metadata,
    sa.Column("segment_id", sa.Text, primary_key=True),
    # Of a metric, or of a column of ``runs``.
    sa.Column("name", sa.Text, primary_key=True),
    # How many of the runs have a value.
    sa.Column("count", sa.Integer, nullable=False),
    # See column_bytes.py.
    sa.Column("packed", sa.LargeBinary, nullable=False),
)

# What services do now and then, each time one of them alone: whoever moves the moment on does it.
upkeep = sa.Table(
    "upkeep",
    metadata,
    sa.Column("task", sa.Text, primary_key=True),
    sa.Column("next_at", sa.Double, nullable=False),
)

curves = sa.Table(
    "curves",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    # See curve_bytes.py.
    sa.Column("packed", sa.LargeBinary, nullable=False),
    # The run's processes when they were most; see tree_bytes.py. Null where nobody looked.
    sa.Column("process_tree", sa.LargeBinary),
)

outputs = sa.Table(
    "outputs",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    # zlib of the script's bytes.
    sa.Column("body", sa.LargeBinary, nullable=False),
    # Of the bytes before compression.
    sa.Column("size_bytes", sa.Integer, nullable=False),
)

# The end of each stream as it travelled with the record: shown when the stored output did not come.
tails = sa.Table(
    "tails",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
)

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("schedule_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("every_seconds", sa.Double, nullable=False),
    sa.Column("next_due_ms", sa.BigInteger, nullable=False),
    sa.Column("is_enabled", sa.Boolean, nullable=False),
    sa.Column("last_job_id", sa.Text),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("content", sa.LargeBinary),
)
sa.Index("ix_schedules_next_due_ms", schedules.c.is_enabled, schedules.c.next_due_ms)

# What the store knows of the broker behind each namespace; see broker_store.py.
brokers = sa.Table(
    "brokers",
    metadata,
    sa.Column("namespace", sa.Text, primary_key=True),
    # The id that its memory was given; a server that was wiped has lost it.
    sa.Column("epoch", sa.Text, nullable=False),
    # Every event from before this moment is stored.
    sa.Column("stored_until", sa.Double, nullable=False),
    # When the loss was noticed; null once the jobs that were lost with it are restored.
    sa.Column("wiped_at", sa.Double),
)


# What is kept for how long; see retention_policy.py.
retention_policies = sa.Table(
    "retention_policies",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("retention_days", sa.Double, nullable=False),
    # Folder of archives; null where what is deleted is gone.
    sa.Column("archive_path", sa.Text),
    # SOC2, HIPAA, GDPR or null.
    sa.Column("compliance", sa.Text),
    # After so many days what is about persons goes; null keeps it as long as the rest.
    sa.Column("erase_days", sa.Double),
    sa.Column("created_at", sa.Double, nullable=False),
    # When a results service applies it next: whoever moves this on is the one that does it.
    sa.Column("next_at", sa.Double, nullable=False),
    sa.Column("last_at", sa.Double),
    # What the last one did, JSON.
    sa.Column("last_result", sa.JSON(none_as_null=True)),
)

# Alerts that were raised for a run.
run_alerts = sa.Table(
    "run_alerts",
    metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("raised_at", sa.Double, nullable=False),
    sa.Column("name", sa.Text),
    sa.Column("severity", sa.Text),
    sa.Column("details", sa.JSON(none_as_null=True), nullable=False),
)

# Versions of definitions, which never change; see definitions.py.
definitions = sa.Table(
    "definitions",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    # Null for a removal.
    sa.Column("spec", sa.Text),
    sa.Column("parameters", sa.Text),
    sa.Column("description", sa.Text, nullable=False),
    # The bytes that the spec's source names.
    sa.Column("content", sa.LargeBinary),
    sa.Column("changed_by", sa.Text, nullable=False),
    sa.Column("changed_at", sa.Double, nullable=False),
)
# Who may ask the results service. A token that was revoked stays: its name stands for it in the audit log.
tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    # SHA-256 in hex; see token_store.py.
    sa.Column("secret_hash", sa.Text, nullable=False, unique=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    # Null never expires.
    sa.Column("expires_at", sa.Double),
    sa.Column("revoked_at", sa.Double),
    # Within a minute; null was never used.
    sa.Column("last_used_at", sa.Double),
)

sessions = sa.Table(
    "sessions",
    metadata,
    # SHA-256 in hex of what the browser's cookie says.
    sa.Column("secret_hash", sa.Text, primary_key=True),
    # Null for the token of the environment, which no row stands for.
    sa.Column("token_name", sa.Text),
    # Of the environment's token: what it proves itself by, see session_store.py.
    sa.Column("proof", sa.Text),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
)
sa.Index("ix_sessions_token_name", sessions.c.token_name)
sa.Index("ix_sessions_expires_at", sessions.c.expires_at)

# Every change that somebody made or tried to make, and how it went. Rows are never changed; see audit_days.py.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("entry_id", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    # Null where nobody was known, as at a login that failed.
    sa.Column("role", sa.Text),
    # Where from: an IP address, or a host for what came by the command line.
    sa.Column("address", sa.Text),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("detail", sa.JSON(none_as_null=True)),
)
sa.Index("ix_audit_at", audit.c.at, audit.c.entry_id)
sa.Index("ix_audit_actor", audit.c.actor, audit.c.at, audit.c.entry_id)
sa.Index("ix_audit_action", audit.c.action, audit.c.at, audit.c.entry_id)
sa.Index("ix_audit_target", audit.c.target, audit.c.at, audit.c.entry_id)
