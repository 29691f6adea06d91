"""``scriptfleet retention``: policies of how long history is kept, their application, and archives put back."""

import math
import time
from pathlib import Path
from typing import Any

from scriptfleet.cli import retention_view, trail
from scriptfleet.cli.amounts import NotAccepted
from scriptfleet.cli.history_place import add_place, opened
from scriptfleet.cli.screen import print_facts, print_json
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import load_settings
from scriptfleet.storage.archive import restore
from scriptfleet.storage.audit_days import count_before, kept_days, oldest_kept
from scriptfleet.storage.engine import Database
from scriptfleet.storage.retention_policy import PRESETS, PolicyStore, apply, new_policy

_ACTIONS = {
    "add": "add a policy, or replace the one of this name",
    "ls": "list policies",
    "rm": "remove a policy; history stays",
    "apply": "delete what a policy does not keep",
    "restore": "put back what an archive holds",
}


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    actions = {name: parser.add_action(name, summary) for name, summary in _ACTIONS.items()}
    for name in ("add", "rm", "apply"):
        actions[name].add_argument("name", metavar="NAME", help="the policy's name")
    actions["add"].add_argument("--days", type=_days, metavar="N", help="how long to keep (else the preset's, else 90)")
    actions["add"].add_argument("--archive", type=Path, metavar="FOLDER", help="archive what is deleted there")
    actions["add"].add_argument("--compliance", choices=list(PRESETS), help="preset rules (see docs/history.md)")
    actions["apply"].add_argument("--dry-run", action="store_true", help="count only")
    actions["restore"].add_argument(
        "file", type=Path, metavar="FILE", help="an archive that apply, or the audit log's end, wrote"
    )
    actions["add"].show_examples("scriptfleet retention add quarter --days 90 --archive /var/archive/scriptfleet")
    actions["ls"].show_examples("scriptfleet retention ls --json")
    actions["rm"].show_examples("scriptfleet retention rm quarter")
    actions["apply"].show_examples("scriptfleet retention apply quarter --dry-run")
    actions["restore"].show_examples("scriptfleet retention restore quarter-20260301T000000Z-1f2e3d4c.jsonl.gz")
    for action in actions.values():
        add_place(action)
    parser.show_examples(
        "scriptfleet retention add privacy --compliance GDPR",
        "scriptfleet retention apply privacy --dry-run",
        "scriptfleet retention add old --days 30 --history-db script_runner_history.db",
    )


def execute(chosen: Namespace) -> int:
    """Do the action."""
    with opened(chosen) as database:
        policies = PolicyStore(database)
        if chosen.action == "add":
            given = (chosen.name, chosen.days, chosen.archive, chosen.compliance)
            policy = new_policy(database, *given, time.time())
            policies.put(policy)
            trail.keep(database, "retention.add", policy.name, days=policy.retention_days, archive=policy.archive_path)
        elif chosen.action == "rm":
            policies.remove(chosen.name)
            trail.keep(database, "retention.remove", chosen.name)
        elif chosen.action == "apply":
            result = apply(database, policies.get(chosen.name), time.time(), dry_run=chosen.dry_run)
            if chosen.dry_run:
                result |= _audit(chosen, database)
            else:
                trail.keep(database, "retention.apply", chosen.name, jobs=result["jobs"], archive=result["archive"])
            retention_view.show_result(result, chosen.as_json)
            return 0
        elif chosen.action == "restore":
            found = restore(database, chosen.file)
            trail.keep(
                database, "retention.restore", chosen.file.name, jobs=found.get("jobs"), entries=found.get("audit")
            )
            _tell(found, chosen.as_json)
            return 0
        retention_view.show_policies(policies.all(), chosen.as_json)
    return 0


def _audit(chosen: Namespace, database: Database) -> dict[str, Any]:
    """Count what the results service would delete of the audit log; a file of one's own has no service."""
    if chosen.history_db is not None:
        return {}
    days = kept_days(load_settings().audit_days, PolicyStore(database).all())
    return {"audit": {"days": days, "entries": count_before(database, oldest_kept(days, time.time()))}}


def _tell(found: dict[str, int], as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        print_facts({name: f"{count:,}" for name, count in found.items()})


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not days > 0:
        raise NotAccepted(f"{text!r} is not accepted: expected a number of days above 0")
    return days
