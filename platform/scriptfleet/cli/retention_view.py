"""Retention policies on the screen, and what applying one did."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from scriptfleet.cli.screen import moment, note, print_facts, print_json
from scriptfleet.cli.tables import print_table
from scriptfleet.storage.retention_policy import Policy


def show_policies(found: Sequence[Policy], as_json: bool) -> None:
    """Print policies."""
    if as_json:
        print_json([asdict(policy) for policy in found])
    elif found:
        print_table(("policy*", "days>", "preset", "archive*", "last applied"), [_cells(policy) for policy in found])
    else:
        note("no policies: `scriptfleet retention add NAME --days N` defines one")


def show_result(result: dict[str, Any], as_json: bool) -> None:
    """Print what applying a policy did, or would do."""
    if as_json:
        print_json(result)
        return
    counts = {name: f"{value:,}" for name, value in result.items() if isinstance(value, int) and name != "dry_run"}
    what = "would delete" if result["dry_run"] else "deleted"
    print_facts({"policy": result["policy"], what: f"jobs that ended before {result['before']}", **counts})
    if result["archive"]:
        print(f"archive  {result['archive']}")
    audit = result.get("audit")
    if audit and audit["days"]:
        note(f"the results service keeps the audit log {audit['days']:g} days: {audit['entries']:,} entries are older")


def _cells(policy: Policy) -> tuple[str, ...]:
    last = moment(policy.last_at) if policy.last_at else "never"
    failed = " (failed)" if "error" in (policy.last_result or {}) else ""
    return (
        policy.name,
        f"{policy.retention_days:g}",
        policy.compliance or "",
        policy.archive_path or "",
        f"{last}{failed}",
    )
