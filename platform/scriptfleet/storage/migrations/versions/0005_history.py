"""Asking history: groups and labels of runs, an index that answers series, retention policies, alerts of runs."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_SERIES = (
    "execution_time_seconds",
    "cpu_max",
    "cpu_avg",
    "user_time_seconds",
    "system_time_seconds",
    "memory_max_mb",
    "queue_wait_seconds",
)
_LABELS_OF = {
    "sqlite": "SELECT job_id, key, value FROM jobs, json_each(jobs.labels) WHERE json_type(jobs.labels) = 'object'",
    "postgresql": (
        "SELECT job_id, key, value FROM jobs, json_each_text(jobs.labels) WHERE json_typeof(jobs.labels) = 'object'"
    ),
}


def upgrade() -> None:
    _groups()
    _labels()
    _plain_began_at()
    _indexes()
    _policies()
    _alerts()


def _groups() -> None:
    op.add_column("runs", sa.Column("group_name", sa.Text))
    op.execute(
        "UPDATE runs SET group_name = (SELECT group_name FROM jobs WHERE jobs.job_id = runs.job_id) "
        "WHERE job_id IN (SELECT job_id FROM jobs WHERE group_name IS NOT NULL)"
    )


def _labels() -> None:
    op.create_table(
        "labels",
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "name", name="pk_labels"),
    )
    found = _LABELS_OF[op.get_context().dialect.name]
    # No value is put in.
    op.execute(f"INSERT INTO labels (job_id, name, value) SELECT * FROM ({found}) AS f WHERE value IS NOT NULL")  # noqa: S608
    op.create_index("ix_labels_name", "labels", ["name", "value", "job_id"])


def _plain_began_at() -> None:
    for name in ("job_id", "began_at", "name", "outcome"):
        op.drop_index(f"ix_runs_{name}", "runs")
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE runs ALTER COLUMN began_at DROP EXPRESSION")
        return
    op.execute("ALTER TABLE runs ADD COLUMN began DOUBLE")
    op.execute("UPDATE runs SET began = began_at")
    op.execute("ALTER TABLE runs DROP COLUMN began_at")
    op.execute("ALTER TABLE runs RENAME COLUMN began TO began_at")


def _indexes() -> None:
    op.create_index("ix_runs_job_id", "runs", ["job_id", "began_at", "run_id"])
    op.create_index("ix_runs_began_at", "runs", ["began_at", "run_id"])
    op.create_index("ix_runs_outcome", "runs", ["outcome", "began_at", "run_id"])
    op.create_index("ix_jobs_group_name", "jobs", ["group_name", "submitted_at", "job_id"])
    op.create_index("ix_jobs_finished_at", "jobs", ["finished_at", "job_id"])
    op.create_index("ix_runs_name", "runs", ["name", "began_at", "run_id", *_SERIES])
    op.create_index("ix_runs_group_name", "runs", ["group_name", "began_at", "run_id"])
    op.create_index("ix_runs_worker", "runs", ["worker", "began_at", "run_id"])


def _policies() -> None:
    op.create_table(
        "retention_policies",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("retention_days", sa.Double, nullable=False),
        sa.Column("archive_path", sa.Text),
        sa.Column("compliance", sa.Text),
        sa.Column("erase_days", sa.Double),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("next_at", sa.Double, nullable=False),
        sa.Column("last_at", sa.Double),
        sa.Column("last_result", sa.JSON),
        sa.PrimaryKeyConstraint("name", name="pk_retention_policies"),
    )


def _alerts() -> None:
    op.create_table(
        "run_alerts",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("raised_at", sa.Double, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("severity", sa.Text),
        sa.Column("details", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "number", name="pk_run_alerts"),
    )
