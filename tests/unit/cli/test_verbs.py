import pytest

from scriptfleet import __version__
from scriptfleet.cli import dispatch as entry
from scriptfleet.cli.verbs import VERBS, PackageMissing, missing_extra, parser_of

#: They need no broker: a history may be a file.
OF_HISTORY = {"diff", "report", "history", "query", "export", "retention"}


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_has_examples_of_that_verb(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        entry.main([verb, "--help"])

    assert ended.value.code == 0
    examples = capsys.readouterr().out.partition("examples:\n")[2]
    assert examples.count(f"scriptfleet {verb}") >= 2


def test_the_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["--help"]) == 0

    shown = capsys.readouterr().out
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
        - {"run", "completion", "schedule", "db", "definition", "workers", "dead", "queues", "token", *OF_HISTORY}
    ),
)
def test_every_verb_that_talks_to_the_fleet_takes_its_addresses(verb: str) -> None:
    options = parser_of(verb).format_help()

    assert "--redis URL" in options
    assert "--database URL" in options
