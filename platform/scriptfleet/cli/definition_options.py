"""Options by which a job is made from a definition: shared by submit and run."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scriptfleet.cli.amounts import pair
from scriptfleet.cli.plain_words import Namespace
from scriptfleet.config import Settings
from scriptfleet.domain.value import replace
from scriptfleet.errors import InvalidValue

if TYPE_CHECKING:
    from scriptfleet.cli.verb_parser import VerbParser
    from scriptfleet.queues.drafts import Draft

#: What says what is run, which the definition does.
_SOURCES = ("script", "shell", "code", "http", "entry", "method", "header", "body", "bearer")


def add_definition(parser: "VerbParser") -> None:
    """Add --definition and -P."""
    group = parser.add_argument_group("from a definition, instead of SCRIPT; other options change what it says")
    group.add_argument("--definition", metavar="NAME[@VERSION]", help="the definition (`scriptfleet definition ls`)")
    what = "a value for one of its parameters (repeatable)"
    group.add_argument("-P", "--param", dest="values", type=pair, action="append", metavar="NAME=VALUE", help=what)


def is_by_name(chosen: Namespace) -> bool:
    """Tell whether a definition is named. Raises InvalidValue where values are said and none is, or SCRIPT is too."""
    if chosen.definition is None:
        if chosen.values:
            raise InvalidValue("-P", "=".join(chosen.values[0]), "--definition NAME beside it")
        return False
    for name in _SOURCES:
        if getattr(chosen, name) is not None:
            said = "SCRIPT" if name == "script" else f"--{name}"
            raise InvalidValue(
                "source", f"--definition {said}", "one of --definition, SCRIPT, --shell, --code and --http"
            )
    if chosen.arguments:
        raise InvalidValue("arguments", " ".join(chosen.arguments), "values of parameters: -P NAME=VALUE")
    return True


def draft_by_name(chosen: Namespace, settings: Settings, submitted_by: str) -> "Draft":
    """Make the draft that definition, values and further options describe.

    Raises InvalidValue, DefinitionNotFound, StoreUnreachable.
    """
    # Other ways of submitting do without the database's library, which takes half a second to load.
    from scriptfleet.cli import stored_jobs  # noqa: PLC0415
    from scriptfleet.domain.definition import Definition, Reference  # noqa: PLC0415
    from scriptfleet.domain.parameter import read_all  # noqa: PLC0415
    from scriptfleet.queues.drafts import Draft  # noqa: PLC0415
    from scriptfleet.storage.definitions import DefinitionStore  # noqa: PLC0415

    reference = Reference.parse(chosen.definition)
    with stored_jobs.opened(settings) as database:
        store = DefinitionStore(database)
        kept = store.get(reference)
        content = store.content(kept.name, kept.version)
    definition: Definition = kept.living()
    spec = definition.filled(read_all(definition.parameters, _values(chosen)), kept.version)
    return Draft(replace(spec, **_changes(chosen, spec), submitted_by=submitted_by), content)


def unpacked(draft: "Draft", folder: Path) -> Path | None:
    """Put the bytes of a draft into a folder, and give its script there; None for a kind without one."""
    source, entry = draft.spec.source, draft.spec.config.get("entry")
    if source is None or draft.content is None:
        return None
    if entry is None:
        raise InvalidValue("definition", draft.spec.kind, "a script, a command line or code: others go to a fleet")
    if source.form == "bundle":
        # Most are one file, and need no archives.
        from scriptfleet.queues import bundle  # noqa: PLC0415

        bundle.unpack(draft.content, folder)
    else:
        (folder / entry).write_bytes(draft.content)
    script: Path = folder / entry
    return script


def _values(chosen: Namespace) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in chosen.values or ():
        if name in found:
            raise InvalidValue("-P", name, "each parameter once")
        found[name] = value
    return found


def _changes(chosen: Namespace, spec: Any) -> dict[str, Any]:
    from scriptfleet.cli.job_options import options_of  # noqa: PLC0415
    from scriptfleet.queues.drafts import fields_of  # noqa: PLC0415
    from scriptfleet.queues.rerun import laid_over  # noqa: PLC0415

    # An option of the policy is laid over what the definition has of it.
    chosen.retry_defaults = spec.retry.to_dict()
    return fields_of(laid_over(spec, options_of(chosen)))
