import pytest

from scriptfleet.cli.verb_parser import VerbParser

AWKWARD = ["a b", 'q"q', "it's", "two\nlines", "--name", "-x", "--", "", "*", "ü", "$HOME"]


def submit_parser() -> VerbParser:
    parser = VerbParser(prog="scriptfleet submit")
    parser.take_script("a script")
    parser.add_argument("--name")
    parser.add_argument("--wait", action="store_true")
    return parser


def test_everything_after_the_script_is_left_untouched() -> None:
    chosen = submit_parser().read(["--name", "n", "--wait", "s.py", *AWKWARD])

    assert (chosen.script, chosen.arguments) == ("s.py", AWKWARD)
    assert (chosen.name, chosen.wait) == ("n", True)


def test_an_option_with_its_value_attached_takes_no_further_word() -> None:
    chosen = submit_parser().read(["--name=n", "s.py"])

    assert (chosen.name, chosen.script) == ("n", "s.py")


def test_two_dashes_let_a_script_have_a_name_like_an_option() -> None:
    chosen = submit_parser().read(["--wait", "--", "--name", "--", "x"])

    assert (chosen.script, chosen.arguments, chosen.name) == ("--name", ["--", "x"], None)


def test_without_a_script_there_is_none() -> None:
    chosen = submit_parser().read(["--wait"])

    assert (chosen.script, chosen.arguments) == (None, [])


def test_options_of_an_action_may_come_before_and_after_its_name() -> None:
    parser = VerbParser(prog="scriptfleet schedule")
    add = parser.add_action("add", "add one")
    add.add_argument("schedule_name")
    add.add_argument("--every")
    add.take_script("a script", after=1)

    for words in (
        ["add", "n", "--every", "1s", "s.py", "--every", "2s"],
        ["add", "--every=1s", "n", "s.py", "--every", "2s"],
    ):
        chosen = parser.read(words)
        assert (chosen.action, chosen.schedule_name, chosen.every) == ("add", "n", "1s")
        assert (chosen.script, chosen.arguments) == ("s.py", ["--every", "2s"])


@pytest.mark.parametrize("words", [["--nam", "x", "s.py"], ["--unknown"], ["--name"], ["--wait=1", "s.py"]])
def test_wrong_options_are_told_in_one_line_and_end_with_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        submit_parser().read(words)

    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith("scriptfleet: ")
    assert "scriptfleet submit --help" in told


def test_an_option_behind_the_script_goes_to_it_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert submit_parser().read(["s.py", "--wait"]).arguments == ["--wait"]
    assert "--wait comes after the script" in capsys.readouterr().err

    submit_parser().read(["--", "s.py", "--wait"])
    submit_parser().read(["s.py", "--of-its-own"])
    assert capsys.readouterr().err == ""
