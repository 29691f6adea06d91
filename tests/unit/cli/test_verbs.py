from collections.abc import Iterator

import pytest

from scriptfleet import __version__
from scriptfleet.cli import dispatch as entry
from scriptfleet.cli.verb_parser import VerbParser
from scriptfleet.cli.verbs import VERBS, PackageMissing, missing_extra, parser_of

#: They need no broker: a history may be a file.
OF_HISTORY = {"diff", "report", "history", "query", "export", "retention"}
#: They run until they are told to stop, and log; and one writes a script for a shell.
THAT_STAY = {"up", "worker", "beat", "server", "flower", "completion"}


def actions_of(verb: str) -> Iterator[tuple[str, VerbParser]]:
    """Give every call that the verb takes and its parser: of one with actions, each of these."""
    parser = parser_of(verb)
    actions = parser._actions_of_verb
    if actions is None:
        yield verb, parser
    else:
        yield from ((f"{verb} {name}", inner) for name, inner in actions.choices.items())


@pytest.mark.parametrize("verb", VERBS)
def test_every_help_fits_80_columns_and_has_an_example(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    for name in {verb, *(name for name, _ in actions_of(verb))}:
        with pytest.raises(SystemExit):
            entry.main([*name.split(), "--help"])
        lines = capsys.readouterr().out.splitlines()
        assert [line for line in lines if len(line) > 80] == []
        examples = lines[lines.index("examples:") + 1 :]
        assert any(f"scriptfleet {name}" in line for line in examples), name


@pytest.mark.parametrize("verb", sorted(VERBS.keys() - THAT_STAY))
def test_every_call_that_answers_does_so_in_json_too(verb: str) -> None:
    assert [name for name, parser in actions_of(verb) if "--json" not in parser._option_string_actions] == []


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_has_examples_of_that_verb(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        entry.main([verb, "--help"])

    assert ended.value.code == 0
    examples = capsys.readouterr().out.partition("examples:\n")[2]
    assert examples.count(f"scriptfleet {verb}") >= 2


def test_the_help_names_every_verb_within_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["--help"]) == 0

    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert all(f"\n  {verb} " in shown for verb in VERBS)


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["--version"]) == 0
    assert capsys.readouterr().out == f"scriptfleet {__version__}\n"


def test_an_unknown_verb_is_told_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["sumbit", "x.py"]) == 2

    told = capsys.readouterr().err
    assert told.startswith("scriptfleet: verb: 'sumbit' is not accepted")
    assert "submit" in told


def test_a_missing_package_is_told_with_the_extra_to_install() -> None:
    told = missing_extra(ModuleNotFoundError("no", name="sqlalchemy.orm"))

    assert isinstance(told, PackageMissing)
    assert "pip install 'scriptfleet[store]'" in str(told)
    assert missing_extra(ModuleNotFoundError("no", name="scriptfleet.nowhere")) is None


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_covers_every_verb(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["completion", shell]) == 0

    printed = capsys.readouterr().out
    assert all(verb in printed for verb in VERBS)
    assert "--idempotency-key" in printed


@pytest.mark.parametrize(
    "verb",
    sorted(
        set(VERBS)
        - {
            "run",
            "warm",
            "completion",
            "schedule",
            "db",
            "definition",
            "workers",
            "dead",
            "queues",
            "token",
            *OF_HISTORY,
        }
    ),
)
def test_every_verb_that_talks_to_the_fleet_takes_its_addresses(verb: str) -> None:
    options = parser_of(verb).format_help()

    assert "--redis URL" in options
    assert "--database URL" in options
