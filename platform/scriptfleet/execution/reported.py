"""A run's record with what its script said back: measures, files to keep, and what of it was refused."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scriptfleet.domain.run import RunRecord
from scriptfleet.execution.artifacts import take
from scriptfleet.execution.workspace import Workspace


def with_reported(record: RunRecord, workspace: Workspace, roots: Sequence[Path], most_bytes: int) -> RunRecord:
    """Read the rest of the report and take the artifacts from ``roots``; one has at most ``most_bytes``."""
    said = workspace.reports.finish()
    taken = take(said.artifacts, roots, workspace.artifacts, most_bytes)
    for fault in taken.faults:
        said.refuse(fault)
    return replace(
        record,
        usage=replace(record.usage, custom=dict(said.metrics)) if said.metrics else record.usage,
        artifacts=taken.artifacts,
        reports_refused=said.refused,
        report_faults=list(said.faults),
    )
