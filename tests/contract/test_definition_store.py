"""Definitions in the store; one body for every kind of database."""

import threading
from dataclasses import replace

import pytest

from scriptfleet.domain.definition import Definition, DefinitionNotFound, Reference
from scriptfleet.domain.kinds import Source
from scriptfleet.domain.parameter import Parameter, ParameterType
from scriptfleet.errors import InvalidValue
from scriptfleet.storage.definitions import DefinitionStore
from scriptfleet.storage.engine import Database
from tests import event_factory as make

CONTENT = b"print('hello')\n"
PARAMETERS = (
    Parameter("zone", ParameterType.CHOICE, "where", default="eu", choices=("us", "eu")),
    Parameter("count", ParameterType.INTEGER, is_required=True, least=1),
)


def definition(name: str = "report", **changes: object) -> Definition:
    spec = make.shell_spec("report.sh", args=("${params.zone}", "${params.count}"))
    return replace(Definition(name, spec, PARAMETERS, "what it is for"), **changes)


def test_a_definition_comes_back_as_it_was_given(database: Database) -> None:
    store = DefinitionStore(database)

    kept = store.add(definition(), None, "ann@desk")

    assert store.get(Reference("report")) == kept
    assert (kept.definition, kept.version, kept.changed_by) == (definition(), 1, "ann@desk")
    assert [one.name for one in kept.definition.parameters] == ["zone", "count"]


def test_a_change_is_a_new_version_and_the_old_one_stays_as_it_was(database: Database) -> None:
    store = DefinitionStore(database)
    store.add(definition(), None, "ann")
    store.add(definition(description="changed"), None, "bob")

    assert store.get(Reference("report")).version == 2
    assert store.get(Reference("report", 1)).definition == definition()
    assert [(one.version, one.changed_by) for one in store.history("report")] == [(2, "bob"), (1, "ann")]


def test_adding_the_same_again_makes_no_version(database: Database) -> None:
    store = DefinitionStore(database)
    first = store.add(definition(), None, "ann")

    assert store.add(definition(), None, "bob") == first
    assert len(store.history("report")) == 1


def test_the_script_s_bytes_stay_with_each_version(database: Database) -> None:
    store = DefinitionStore(database)
    for content in (CONTENT, CONTENT * 2):
        spec = replace(make.shell_spec(), config={"entry": "a.sh"}, source=Source.of(content, "file"), args=())
        store.add(Definition("a", spec), content, "ann")

    assert store.content("a", 1) == CONTENT
    assert store.content("a", 2) == CONTENT * 2
    assert store.content("a", 3) is None


def test_bytes_that_the_spec_does_not_name_are_refused(database: Database) -> None:
    store = DefinitionStore(database)

    with pytest.raises(InvalidValue, match=r"content: .* is not accepted: expected the bytes that the spec's source"):
        store.add(definition(), CONTENT, "ann")


def test_a_removed_definition_is_not_found_and_its_history_tells_who_removed_it(database: Database) -> None:
    store = DefinitionStore(database)
    store.add(definition(), None, "ann")
    store.add(definition("other"), None, "ann")

    store.remove("report", "bob")

    for reference in ("report", "report@1"):
        with pytest.raises(DefinitionNotFound, match="it was removed"):
            store.get(Reference.parse(reference))
    with pytest.raises(DefinitionNotFound):
        store.remove("report", "bob")
    assert [(one.version, one.definition is None, one.changed_by) for one in store.history("report")] == [
        (2, True, "bob"),
        (1, False, "ann"),
    ]
    assert [one.name for one in store.list()] == ["other"]


def test_a_definition_that_comes_back_after_its_removal_counts_on(database: Database) -> None:
    store = DefinitionStore(database)
    store.add(definition(), None, "ann")
    store.remove("report", "ann")

    assert store.add(definition(), None, "ann").version == 3
    assert [(one.name, one.version) for one in store.list()] == [("report", 3)]


def test_a_name_or_version_that_never_was_is_not_found(database: Database) -> None:
    store = DefinitionStore(database)
    store.add(definition(), None, "ann")

    for reference in ("none", "report@2"):
        with pytest.raises(DefinitionNotFound):
            store.get(Reference.parse(reference))
    with pytest.raises(DefinitionNotFound):
        store.history("none")


def test_many_who_change_at_once_get_a_version_each(database: Database) -> None:
    store = DefinitionStore(database)
    versions: list[int] = []

    def change(at: int) -> None:
        versions.append(store.add(definition(description=str(at)), None, "ann").version)

    threads = [threading.Thread(target=change, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(versions) == list(range(1, 9))
