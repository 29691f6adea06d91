"""``scriptfleet doctor``: what is in order here and what is not."""

import dataclasses

from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.health_checks import Finding, Level, all_findings
from scriptfleet.cli.screen import print_json
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.domain.terminal_text import clean_line


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    add_json(parser)
    add_fleet_options(parser)
    parser.show_examples("scriptfleet doctor", "scriptfleet doctor --json --redis redis://broker.example:6379/0")


def execute(chosen: Namespace) -> int:
    """Check; 1 when something failed."""
    found = []
    for finding in all_findings(settings_of(chosen)):
        found.append(finding)
        if not chosen.as_json:
            _print(finding)
    if chosen.as_json:
        print_json([dataclasses.asdict(finding) for finding in found])
    return 1 if any(finding.level is Level.FAIL for finding in found) else 0


def _print(finding: Finding) -> None:
    print(f"{finding.level:<5} {finding.what:<12} {clean_line(finding.found)}")
    if finding.advice:
        print(f"{'':<18} -> {finding.advice}")
