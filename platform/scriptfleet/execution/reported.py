"""A run's record with what its script said back: measures, files to keep, and what of it was refused."""

from collections.abc import Sequence
from pathlib import Path

from scriptfleet.domain.run import Artifact, RunRecord
from scriptfleet.domain.value import replace
from scriptfleet.execution.workspace import Workspace


def with_reported(record: RunRecord, workspace: Workspace, roots: Sequence[Path], most_bytes: int) -> RunRecord:
    """Read the rest of the report and take the artifacts from ``roots``; one has at most ``most_bytes``."""
    said = workspace.reports.finish()
    if said.is_nothing():
        return record
    kept: list[Artifact] = []
    if said.artifacts:
        # Most scripts keep none.
        from scriptfleet.execution.artifacts import take  # noqa: PLC0415

        kept, faults = take(said.artifacts, roots, workspace.artifacts, most_bytes)
        for fault in faults:
            said.refuse(fault)
    return replace(
        record,
        usage=replace(record.usage, custom=dict(said.metrics)) if said.metrics else record.usage,
        artifacts=kept,
        reports_refused=said.refused,
        report_faults=list(said.faults),
    )
