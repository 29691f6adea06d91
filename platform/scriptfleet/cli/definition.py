"""``scriptfleet definition``: jobs under a name, with parameters, in versions that never change."""

import json
from pathlib import Path
from typing import Any

from scriptfleet.cli import stored_jobs, trail
from scriptfleet.cli.amounts import NotAccepted
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.job_options import add_job, add_placement, draft_of
from scriptfleet.cli.screen import UNKNOWN, moment, note, print_facts, print_json
from scriptfleet.cli.submitter import submitter
from scriptfleet.cli.surroundings_options import add_warm
from scriptfleet.cli.tables import print_table
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import Settings
from scriptfleet.domain.definition import Definition, Reference, changes_from, definition_name
from scriptfleet.domain.masking import shown_spec
from scriptfleet.domain.parameter import Parameter, shown
from scriptfleet.domain.terminal_text import clean_line
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.definitions import DefinitionStore, KeptVersion

#: Paths of what changed that a table shows.
_MOST_SHOWN = 4


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    add = parser.add_action("add", "keep a definition, or a new version of one")
    add.add_argument("definition_name", metavar="NAME", help="the definition's name")
    add_job(add, words_before=1)
    add_warm(add)
    add_placement(add)
    group = add.add_argument_group("the definition (SCRIPT may be a YAML or JSON file that says all of it)")
    group.add_argument("--description", metavar="TEXT", help="what it is for")
    what = 'a parameter; JSON such as {"type": "integer", "default": 3} (repeatable)'
    group.add_argument("--parameter", type=_parameter, action="append", metavar="NAME=JSON", help=what)
    ls = parser.add_action("ls", "list definitions")
    show = parser.add_action("show", "show a definition")
    show.add_argument("reference", metavar="NAME[@VERSION]")
    past = parser.add_action("history", "show who changed a definition when, and what")
    past.add_argument("definition_name", metavar="NAME")
    rm = parser.add_action("rm", "remove definitions; their history stays")
    rm.add_argument("names", nargs="+", metavar="NAME")
    _show_examples(parser, add, ls, show, past, rm)
    for action in (add, ls, show, past, rm):
        add_json(action)
        add_fleet_options(action)


def _show_examples(
    parser: VerbParser, add: VerbParser, ls: VerbParser, show: VerbParser, past: VerbParser, rm: VerbParser
) -> None:
    add.show_examples(
        "scriptfleet definition add report report.yaml",
        "scriptfleet definition add backup --parameter 'db={\"required\": true}' \\",
        "    --shell 'pg_dump \"${params.db}\" > dump.sql'",
    )
    ls.show_examples("scriptfleet definition ls", "scriptfleet definition ls --json")
    show.show_examples("scriptfleet definition show report", "scriptfleet definition show report@2 --json")
    past.show_examples("scriptfleet definition history report")
    rm.show_examples("scriptfleet definition rm report")
    parser.show_examples(
        "scriptfleet definition add report report.yaml",
        "scriptfleet definition show report",
        "scriptfleet submit --definition report -P day=2026-03-01",
        "scriptfleet definition history report",
    )


def execute(chosen: Namespace) -> int:
    """Do the action."""
    actions = {"add": _add, "ls": _list, "show": _show, "history": _history, "rm": _remove}
    return actions[chosen.action](chosen, settings_of(chosen))


def _add(chosen: Namespace, settings: Settings) -> int:
    definition, content = _described(chosen, settings)
    with stored_jobs.opened(settings) as database:
        store = DefinitionStore(database)
        kept = store.add(definition, content, submitter())
        trail.keep(database, "definition.change", kept.name, version=kept.version)
    if chosen.as_json:
        print_json(plain(kept, settings))
    else:
        print(f"{kept.name}@{kept.version}")
    return 0


def _described(chosen: Namespace, settings: Settings) -> tuple[Definition, bytes | None]:
    name = definition_name(chosen.definition_name)
    if chosen.script is not None and chosen.script.endswith((".yaml", ".yml", ".json")):
        return _of_file(name, chosen, settings)
    draft = draft_of(chosen, settings.blob_max_bytes)
    return Definition(name, draft.spec, tuple(chosen.parameter or ()), chosen.description or ""), draft.content


def _of_file(name: str, chosen: Namespace, settings: Settings) -> tuple[Definition, bytes | None]:
    # YAML takes its time to load.
    from scriptfleet.cli import definition_file  # noqa: PLC0415

    expected = {"action", "definition_name", "script", "arguments", "as_json", "redis", "database"}
    others = [option for option, value in vars(chosen).items() if value not in (None, False) and option not in expected]
    if others or chosen.arguments:
        said = " ".join((*(f"--{option.replace('_', '-')}" for option in others), *chosen.arguments))
        raise InvalidValue("option", said, "nothing beside a definition's file, which says all of it")
    read = definition_file.read(Path(chosen.script), settings.blob_max_bytes)
    return Definition(name, read.draft.spec, read.parameters, read.description), read.draft.content


def _list(chosen: Namespace, settings: Settings) -> int:
    with stored_jobs.opened(settings) as database:
        found = DefinitionStore(database).list()
    if chosen.as_json:
        print_json([plain(one, settings) for one in found])
    elif found:
        rows = [
            (one.name, str(one.version), one.living().spec.name, one.changed_by, moment(one.changed_at))
            for one in found
        ]
        print_table(("definition*", "version>", "script*", "changed by*", "changed"), rows)
    else:
        note("no definitions")
    return 0


def _show(chosen: Namespace, settings: Settings) -> int:
    with stored_jobs.opened(settings) as database:
        kept = DefinitionStore(database).get(Reference.parse(chosen.reference))
    if chosen.as_json:
        print_json(plain(kept, settings))
        return 0
    definition = kept.living()
    spec = shown_spec(definition.spec.to_dict(), settings.secret_prefixes)
    facts = {
        "definition": f"{kept.name}@{kept.version}",
        "about": clean_line(definition.description, 2000),
        "changed": f"{moment(kept.changed_at)} by {clean_line(kept.changed_by)}",
    }
    said = {name: json.dumps(value, ensure_ascii=False) for name, value in spec.items() if name not in ("v", "source")}
    print_facts(facts | {name: clean_line(value, 500) for name, value in said.items()})
    if definition.parameters:
        print()
        rows = [_parameter_cells(one) for one in definition.parameters]
        print_table(("parameter*", "type", "default*", "allowed*", "description*"), rows)
    return 0


def _history(chosen: Namespace, settings: Settings) -> int:
    with stored_jobs.opened(settings) as database:
        found = DefinitionStore(database).history(chosen.definition_name)
    befores = [*(one.definition for one in found[1:]), None]
    told = [(kept, changes_from(before, kept.definition)) for kept, before in zip(found, befores, strict=True)]
    if chosen.as_json:
        print_json([{**plain(kept, settings), "changes": changed} for kept, changed in told])
        return 0
    rows = [(str(kept.version), moment(kept.changed_at), kept.changed_by, _shortly(changed)) for kept, changed in told]
    print_table(("version>", "changed", "by*", "what*"), rows)
    return 0


def _remove(chosen: Namespace, settings: Settings) -> int:
    with stored_jobs.opened(settings) as database:
        store = DefinitionStore(database)
        for name in chosen.names:
            # All or none: a name that is misspelt is told before anything is removed.
            store.get(Reference(definition_name(name)))
        removed = [store.remove(name, submitter()) for name in dict.fromkeys(chosen.names)]
        for one in removed:
            trail.keep(database, "definition.remove", one.name)
    if chosen.as_json:
        print_json([plain(one, settings) for one in removed])
    else:
        for one in removed:
            print(f"{one.name}: removed")
    return 0


def plain(kept: KeptVersion, settings: Settings) -> dict[str, Any]:
    """Give a version as plain JSON data; secrets in its spec are not shown."""
    said: dict[str, Any] = {"name": kept.name, "version": kept.version, "is_removed": kept.definition is None}
    said |= {"changed_by": kept.changed_by, "changed_at": kept.changed_at}
    if kept.definition is None:
        return said
    whole = kept.definition.to_dict()
    return said | {**whole, "spec": shown_spec(whole["spec"], settings.secret_prefixes)}


def _shortly(changed: list[str]) -> str:
    more = len(changed) - _MOST_SHOWN
    return ", ".join(changed[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _parameter_cells(one: Parameter) -> tuple[str, ...]:
    default = "required" if one.is_required else UNKNOWN if one.default is None else shown(one.default)
    return one.name, str(one.type), default, one.allowed(), one.description


def _parameter(text: str) -> Parameter:
    name, equals, said = text.partition("=")
    try:
        return Parameter.from_dict(name, json.loads(said) if equals else {})
    except InvalidValue as fault:
        raise NotAccepted(str(fault)) from fault
    except ValueError as fault:
        what = 'expected NAME=JSON, such as count={"type": "integer"}'
        raise NotAccepted(f"{text!r} is not accepted: {what} ({fault})") from fault
