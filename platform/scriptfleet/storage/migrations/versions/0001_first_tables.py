"""The first tables: jobs, runs, their curves and outputs, schedules."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _jobs()
    _runs()
    _parts_of_runs()
    _schedules()


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text),
        sa.Column("name", sa.Text),
        sa.Column("queue", sa.Text),
        sa.Column("priority", sa.Integer),
        sa.Column("group_name", sa.Text),
        sa.Column("labels", sa.JSON),
        sa.Column("schedule", sa.Text),
        sa.Column("submitted_by", sa.Text),
        sa.Column("spec", sa.Text),
        sa.Column("submitted_at", sa.Double, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("finished_at", sa.Double),
        sa.Column("reason", sa.Text),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("last_run_id", sa.Text),
        sa.Column("run_revision", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.PrimaryKeyConstraint("job_id", name="pk_jobs"),
    )
    op.create_index("ix_jobs_submitted_at", "jobs", ["submitted_at", "job_id"])
    for column in ("state", "name", "schedule"):
        op.create_index(f"ix_jobs_{column}", "jobs", [column, "submitted_at", "job_id"])


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("job_id", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text) for name in ("name", "kind", "queue")),
        sa.Column("attempt", sa.Integer),
        *(sa.Column(name, sa.Text) for name in ("worker", "host", "outcome")),
        sa.Column("is_stale", sa.Boolean),
        *(sa.Column(name, sa.Double) for name in ("claimed_at", "started_at", "finished_at")),
        sa.Column("began_at", sa.Double, sa.Computed("coalesce(started_at, claimed_at, finished_at)", persisted=True)),
        *_measures(),
        sa.Column("custom", sa.JSON),
        sa.Column("output_data", sa.JSON),
        *(sa.Column(name, sa.BigInteger) for name in ("stdout_cut_bytes", "stderr_cut_bytes")),
        sa.PrimaryKeyConstraint("run_id", name="pk_runs"),
    )
    op.create_index("ix_runs_began_at", "runs", ["began_at", "run_id"])
    for column in ("job_id", "name", "outcome"):
        op.create_index(f"ix_runs_{column}", "runs", [column, "began_at", "run_id"])


def _measures() -> list[sa.Column[str] | sa.Column[int] | sa.Column[float] | sa.Column[bool]]:
    return [
        *_texts("start_time", "end_time"),
        *_doubles("execution_time_seconds"),
        *_integers("exit_code", "signal"),
        sa.Column("success", sa.Boolean),
        *_texts("error_message", "error_type"),
        *_doubles("cpu_max", "cpu_avg", "cpu_min", "user_time_seconds", "system_time_seconds"),
        *_doubles("memory_max_mb", "memory_avg_mb", "memory_min_mb", "memory_charged_max_mb"),
        *_texts("cpu_method", "memory_method", "io_method", "pids_method"),
        *_integers("page_faults_minor", "page_faults_major", "num_threads", "num_fds", "pids_count"),
        *_integers("voluntary_context_switches", "involuntary_context_switches"),
        *_integers("block_io_read_bytes", "block_io_write_bytes", "network_rx_bytes", "network_tx_bytes"),
        *_doubles("memory_limit_mb", "memory_percent"),
        *_integers("stdout_lines", "stderr_lines", "stdout_size_bytes", "stderr_size_bytes"),
        *_doubles("gpu_util_max", "gpu_memory_max_mb"),
        *_texts("python_version", "platform"),
        *_doubles("queue_wait_seconds", "start_overhead_seconds"),
    ]


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text) for name in names]


def _integers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger) for name in names]


def _doubles(*names: str) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Double) for name in names]


def _parts_of_runs() -> None:
    op.create_table(
        "curves",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("packed", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_curves"),
    )
    op.create_table(
        "outputs",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "stream", "number", name="pk_outputs"),
    )
    op.create_table(
        "tails",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "stream", name="pk_tails"),
    )


def _schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("schedule_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("every_seconds", sa.Double, nullable=False),
        sa.Column("next_due_ms", sa.BigInteger, nullable=False),
        sa.Column("is_enabled", sa.Boolean, nullable=False),
        sa.Column("last_job_id", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("content", sa.LargeBinary),
        sa.PrimaryKeyConstraint("schedule_id", name="pk_schedules"),
        sa.UniqueConstraint("name", name="uq_schedules_name"),
    )
    op.create_index("ix_schedules_next_due_ms", "schedules", ["is_enabled", "next_due_ms"])
